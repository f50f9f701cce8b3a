/**
 * A f32 graph in mixed precision, for a GPU: products in half precision, sums over many elements in f32, by the lists
 * of PyTorch's autocast (https://docs.pytorch.org/docs/stable/amp.html#cuda-op-specific-behavior). Matrices and look-up
 * tables become f16 when the graph is written, in half the memory; inputs and outputs keep their types.
 */
import { float32ToFloat16 } from "../tensor/float16.ts";
import { elementCount } from "../tensor/shape.ts";
import { codeOfDtype } from "../tensor/element-type.ts";
import type { Graph, Initializer, Node } from "./graph.ts";
import { inferNode } from "./infer-node.ts";
import type { Inferred } from "./operator.ts";
import { initializerType } from "./verify-graph.ts";

type Half = "float16";
type Full = "float32";
type Kind = Half | Full;

/** Autocast's "ops that autocast to float16", of those that encoders have. */
const inHalf = new Set(["MatMul", "FusedMatMul", "Gemm", "Conv"]);
/** Its "ops that autocast to float32": what sums over many elements, or leaves the range of f16. */
const inFull = new Set(
  [
    "Softmax LogSoftmax LayerNormalization SimplifiedLayerNormalization",
    "CumSum ReduceSum ReduceMean ReduceL2 Pow Exp Log Reciprocal",
  ].flatMap((names) => names.split(" ")),
);
/** What gives elements of its first input: in whatever type that has. */
const moving = new Set(
  "Reshape Transpose Unsqueeze Squeeze Split Slice Gather Expand Flatten Identity".split(" "),
);

/** What gives its first input with others' elements in some places: in whatever type that has. */
const placing = new Set(["ScatterND"]);

function isKind(dtype: string | undefined): dtype is Kind {
  return dtype === "float32" || dtype === "float16";
}

function halved({ load, ...initializer }: Initializer, name: string): Initializer {
  const toHalf = () => {
    const elements = load();
    if (elements instanceof Float32Array) return float32ToFloat16(elements);
    throw new Error(`${initializer.name} is no float32`);
  };
  return { ...initializer, name, dtype: "float16", load: toHalf };
}

/** The graph as it is rewritten, node by node. */
class Autocast {
  readonly #constants: ReadonlyMap<string, Initializer>;
  /** Those that are f32. */
  readonly #outputs: ReadonlySet<string>;
  readonly #types = new Map<string, Inferred>();
  readonly nodes: Node[] = [];
  readonly made: Initializer[] = [];

  constructor(graph: Graph) {
    this.#constants = new Map(graph.initializers.map((each) => [each.name, each]));
    const full = graph.outputs.filter(({ dtype }) => dtype === "float32");
    this.#outputs = new Set(full.map(({ name }) => name));
    for (const input of graph.inputs) this.#types.set(input.name, input);
    for (const each of graph.initializers) this.#types.set(each.name, initializerType(each));
  }

  add(node: Node): void {
    const kind = this.#kindOf(node);
    const inputs = kind === null ? node.inputs : node.inputs.map((name) => this.#as(name, kind));
    this.#emit({ ...node, inputs });
  }

  /** What the float inputs of a node are to be; null: as they are. */
  #kindOf({ operator, inputs }: Node): Kind | null {
    if (inHalf.has(operator)) return "float16";
    if (inFull.has(operator)) return "float32";
    if (operator === "Cast") return null;
    const floats = inputs.filter((name) => isKind(this.#types.get(name)?.dtype));
    const [first] = floats;
    if (moving.has(operator)) return first === inputs[0] && this.#isTable(first) ? "float16" : null;
    if (placing.has(operator)) return this.#kindOfValue(first);
    // The widest, but single numbers take the type of what they meet.
    const deciding = floats.filter((name) => !this.#isSingle(name));
    if (deciding.length === 0) return null;
    const wide = deciding.some((name) => this.#types.get(name)?.dtype === "float32");
    return wide ? "float32" : "float16";
  }

  #kindOfValue(name: string | undefined): Kind | null {
    const dtype = name === undefined ? undefined : this.#types.get(name)?.dtype;
    return isKind(dtype) ? dtype : null;
  }

  #isSingle(name: string): boolean {
    const constant = this.#constants.get(name);
    return constant !== undefined && elementCount(constant.shape) === 1;
  }

  /** Rows of vectors. A scale each, as int8 rows have, keeps its range. */
  #isTable(name: string | undefined): boolean {
    const constant = name === undefined ? undefined : this.#constants.get(name);
    return constant?.dtype === "float32" && constant.shape.length === 2 && constant.shape[1] !== 1;
  }

  /** The name of the value in that type, cast once. */
  #as(name: string, kind: Kind): string {
    const dtype = this.#types.get(name)?.dtype;
    if (!isKind(dtype) || dtype === kind) return name;
    const cast = `${name}.${kind}`;
    if (this.#types.has(cast)) return cast;
    const constant = this.#constants.get(name);
    if (constant !== undefined && kind === "float16") {
      const half = halved(constant, cast);
      this.made.push(half);
      this.#types.set(cast, half);
    } else this.#cast(name, cast, kind);
    return cast;
  }

  #cast(from: string, to: string, kind: Kind): void {
    const attributes = { to: { kind: "int" as const, value: BigInt(codeOfDtype(kind)) } };
    const shape = { name: to, domain: "", operator: "Cast", attributes };
    this.#emit({ ...shape, inputs: [from], outputs: [to] });
  }

  #emit(node: Node): void {
    const types = inferNode(node, (name) => this.#types.get(name) ?? null);
    const late = node.outputs.filter(
      (name, at) => this.#outputs.has(name) && types[at]?.dtype === "float16",
    );
    // An output of the graph stays f32: the node gives another value, which is cast.
    const nameOf = (name: string) => (late.includes(name) ? `${name}.float16` : name);
    const renamed = { name: nameOf(node.name), outputs: node.outputs.map(nameOf) };
    this.nodes.push({ ...node, ...renamed });
    for (const [at, type] of types.entries()) {
      const name = node.outputs[at] ?? "";
      if (name !== "") this.#types.set(nameOf(name), type);
    }
    for (const name of late) this.#cast(`${name}.float16`, name, "float32");
  }
}

/** What nodes read, in their own graph or in those around it. */
function readBy(nodes: readonly Node[]): string[] {
  return nodes.flatMap(({ inputs, attributes }) => {
    const bodies = Object.values(attributes).flatMap((each) =>
      each.kind === "graph" ? readBy(each.value.nodes) : [],
    );
    return [...inputs, ...bodies];
  });
}

/** @throws GraphError for a graph that is not valid */
export function autocastFloat16(graph: Graph): Graph {
  const rewriting = new Autocast(graph);
  for (const node of graph.nodes) rewriting.add(node);
  const { nodes, made } = rewriting;
  const used = new Set(readBy(nodes));
  const initializers = [...graph.initializers, ...made].filter(({ name }) => used.has(name));
  return { ...graph, nodes, initializers };
}
