/**
 * The most operations a second that this runtime reaches here in products of matrices as encoders have them: the limit
 * that benchmarks compare with, and what tells which form of a model computes faster. Best of several, because other
 * processes only ever make it slower.
 */
import type { Tensor } from "../tensor/tensor.ts";
import { encodeProduct } from "./probe-model.ts";
import type { Loader, Session } from "./session.ts";

export type GemmOptions = {
  /** `int8` multiplies u8 activations by s8 weights (MatMulInteger). */
  dtype: "float32" | "int8";
  threads: number;
  /** Tokens in one product. Default 2048. */
  rows?: number;
  /** `[inner, columns]` of the weights. Default: those of an encoder 384 wide. */
  weights?: readonly (readonly [number, number])[];
  /** How often each product is timed, after one run that is not. Default 20. */
  repeats?: number;
  /** Milliseconds, monotonic. */
  now: () => number;
  signal?: AbortSignal;
};

const encoderWeights: readonly (readonly [number, number])[] = [
  [384, 384],
  [384, 1536],
  [1536, 384],
];

/** @returns 10⁹ operations a second; a multiplication and an addition are two */
export async function measureGemm(loader: Loader, options: GemmOptions): Promise<number> {
  const { weights = encoderWeights, rows = 2048 } = options;
  let operations = 0;
  let milliseconds = 0;
  for (const shape of weights) {
    operations += 2 * rows * shape[0] * shape[1];
    milliseconds += await bestTime(loader, shape, options);
  }
  return operations / milliseconds / 1e6;
}

/** Milliseconds of one product. */
async function bestTime(
  loader: Loader,
  [inner, columns]: readonly [number, number],
  { dtype, threads, rows = 2048, repeats = 20, now, signal }: GemmOptions,
): Promise<number> {
  const bytes = await productModel(dtype, inner, columns);
  const session = await loader.load(
    { bytes },
    { threads, provider: "cpu", ...(signal && { signal }) },
  );
  try {
    const x = activations(dtype, rows, inner);
    await session.run({ x });
    let best = Infinity;
    for (let repeat = 0; repeat < repeats; repeat++) {
      signal?.throwIfAborted();
      best = Math.min(best, await timeOf(session, x, now));
    }
    return best;
  } finally {
    await session.release();
  }
}

async function timeOf(session: Session, x: Tensor, now: () => number): Promise<number> {
  const start = now();
  await session.run({ x });
  return now() - start;
}

function productModel(
  dtype: GemmOptions["dtype"],
  inner: number,
  columns: number,
): Promise<Uint8Array> {
  const shape = [inner, columns];
  const length = inner * columns;
  if (dtype === "int8") {
    const data = counted(new Int8Array(length), (i) => (i % 127) - 63);
    const weights = { dtype, shape, data };
    return encodeProduct({ operator: "MatMulInteger", weights, output: "shape" });
  }
  const data = counted(new Float32Array(length), (i) => ((i % 127) - 63) / 64);
  return encodeProduct({ operator: "MatMul", weights: { dtype, shape, data }, output: "shape" });
}

/** Fills `to`. By index: `from` with a function takes ten times as long, and holds up the event loop. */
function counted<A extends Float32Array | Int8Array | Uint8Array>(
  to: A,
  element: (index: number) => number,
): A {
  for (let index = 0; index < to.length; index++) to[index] = element(index);
  return to;
}

function activations(dtype: GemmOptions["dtype"], rows: number, inner: number): Tensor {
  const shape = [rows, inner];
  const length = rows * inner;
  if (dtype === "int8") {
    return { dtype: "uint8", shape, data: counted(new Uint8Array(length), (i) => i) };
  }
  return { dtype, shape, data: counted(new Float32Array(length), (i) => (i % 31) / 16 - 1) };
}
