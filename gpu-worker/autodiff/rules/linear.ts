/**
 * Gradients of products of matrices, as products that ONNX Runtime computes without transposing anything first.
 */
import type { Value } from "../../onnx/value.ts";
import type { BackwardNode, Rule } from "../backward-node.ts";

/** A factor, to be read as it is or transposed. */
type Factor = { readonly of: Value; readonly transposed: boolean };

const plain = (of: Value): Factor => ({ of, transposed: false });
const flip = ({ of, transposed }: Factor): Factor => ({ of, transposed: !transposed });

function flags(a: Factor, b: Factor) {
  return { transA: a.transposed ? 1 : 0, transB: b.transposed ? 1 : 0 };
}

/** Of stacks of matrices. */
function product(a: Factor, b: Factor, alpha: number): Value {
  return a.of.op("com.microsoft.FusedMatMul", [b.of], { ...flags(a, b), alpha });
}

/** Of two matrices. */
function multiply(a: Factor, b: Factor, alpha: number): Value {
  return a.of.op("Gemm", [b.of], { ...flags(a, b), alpha });
}

/** Y = α·A·B. */
type Product = {
  readonly a: Factor;
  readonly b: Factor;
  readonly dy: Value;
  readonly alpha: number;
};

/** A gradient comes transposed where its factor was. */
function byLeft({ a, b, dy, alpha }: Product): Value {
  const g = plain(dy);
  return a.transposed ? product(b, flip(g), alpha) : product(g, flip(b), alpha);
}

function byRight({ a, b, dy, alpha }: Product): Value {
  const width = a.of.shape.at(-1);
  const columns = dy.shape.at(-1);
  const weights = b.of.shape.length === 2 && !a.transposed;
  // A matrix against a stack: one product over all rows, not the sum of one for each.
  if (weights && typeof width === "number" && typeof columns === "number") {
    const [x, g] = [plain(a.of.reshape([-1, width])), plain(dy.reshape([-1, columns]))];
    return b.transposed ? multiply(flip(g), x, alpha) : multiply(flip(x), g, alpha);
  }
  const g = plain(dy);
  return b.transposed ? product(flip(g), a, alpha) : product(flip(a), g, alpha);
}

/** A vector counts as a matrix of one row, or of one column on the right. */
const matMul: Rule = (at) => {
  const [left, right] = [at.x(0), at.x(1)];
  const [row, column] = [left.shape.length === 1, right.shape.length === 1];
  const lifted = (): Product => {
    const dy = row ? at.dy().unsqueeze([column ? -1 : -2]) : at.dy();
    return {
      a: plain(row ? left.unsqueeze([0]) : left),
      b: plain(column ? right.unsqueeze([1]) : right),
      dy: column ? dy.unsqueeze([-1]) : dy,
      alpha: 1,
    };
  };
  return [
    () => (row ? byLeft(lifted()).squeeze([-2]) : byLeft(lifted())),
    () => (column ? byRight(lifted()).squeeze([-1]) : byRight(lifted())),
  ];
};

function scaleOf(at: BackwardNode, name: string): number {
  const attribute = at.attribute(name);
  return attribute?.kind === "float" ? attribute.value : 1;
}

function factorsOf(at: BackwardNode): readonly [Factor, Factor] {
  return [
    { of: at.x(0), transposed: at.int("transA", 0) === 1 },
    { of: at.x(1), transposed: at.int("transB", 0) === 1 },
  ];
}

const fusedMatMul: Rule = (at) => {
  const [a, b] = factorsOf(at);
  const whole = { a, b, dy: at.dy(), alpha: scaleOf(at, "alpha") };
  return [() => byLeft(whole), () => byRight(whole)];
};

const gemm: Rule = (at) => {
  const [alpha, beta] = [scaleOf(at, "alpha"), scaleOf(at, "beta")];
  const [a, b] = factorsOf(at);
  const dy = plain(at.dy());
  return [
    () => (a.transposed ? multiply(b, flip(dy), alpha) : multiply(dy, flip(b), alpha)),
    () => (b.transposed ? multiply(flip(dy), a, alpha) : multiply(flip(a), dy, alpha)),
    () => (beta === 1 ? at.dy() : at.dy().mul(beta)),
  ];
};

/** The same rotation the other way round. */
const rotaryEmbedding: Rule = (at) => {
  const integers = ["interleaved", "num_heads", "rotary_embedding_dim", "is_packed_batching"];
  const kept = integers.map((name) => [name, at.int(name, 0)] as const);
  const attributes = { ...Object.fromEntries(kept), scale: scaleOf(at, "scale") };
  const inputs = () => [at.x(1), at.x(2), at.x(3).neg()];
  return [
    () => at.dy().op("com.microsoft.RotaryEmbedding", inputs(), attributes),
    null,
    null,
    null,
  ];
};

export const linear = {
  MatMul: matMul,
  Gemm: gemm,
  "com.microsoft.FusedMatMul": fusedMatMul,
  "com.microsoft.RotaryEmbedding": rotaryEmbedding,
} as const satisfies Readonly<Record<string, Rule>>;
