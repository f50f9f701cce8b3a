/**
 * Runs a graph in ONNX Runtime, the oracle of this room's tests.
 */
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { encodeModelProto } from "../../gpu-worker/onnx/encode-model-proto.ts";
import type { Graph } from "../../gpu-worker/onnx/graph.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";

export type Result = { dtype: string; shape: readonly number[]; data: number[] };

export function toOrt(value: Tensor): OrtTensor {
  switch (value.dtype) {
    case "float32":
      return new OrtTensor("float32", value.data, value.shape);
    case "float64":
      return new OrtTensor("float64", value.data, value.shape);
    case "int64":
      return new OrtTensor("int64", value.data, value.shape);
    case "int32":
      return new OrtTensor("int32", value.data, value.shape);
    case "uint8":
      return new OrtTensor("uint8", value.data, value.shape);
    case "int8":
      return new OrtTensor("int8", value.data, value.shape);
    case "bool":
      return new OrtTensor("bool", value.data, value.shape);
    default:
      throw new TypeError(`no test feeds ${value.dtype}`);
  }
}

export type Feeds = Readonly<Record<string, Tensor>>;

/** `all` rewrites the graph as the worker's sessions do, `disabled` runs it as it is. */
export type OptimizationLevel = "all" | "disabled";

export type OpenModel = {
  /** Feeds that the model has no input for are left out. */
  run(feeds: Feeds): Promise<Record<string, Result>>;
  release(): Promise<void>;
};

export async function openModel(
  model: Uint8Array | string,
  level: OptimizationLevel = "all",
): Promise<OpenModel> {
  const options = {
    logSeverityLevel: 3,
    intraOpNumThreads: 1,
    graphOptimizationLevel: level,
  } as const;
  const session =
    typeof model === "string"
      ? await InferenceSession.create(model, options)
      : await InferenceSession.create(model, options);
  return {
    async run(feeds) {
      const inputs = Object.entries(feeds)
        .filter(([name]) => session.inputNames.includes(name))
        .map(([name, value]) => [name, toOrt(value)] as const);
      const outputs = await session.run(Object.fromEntries(inputs));
      const results = Object.entries(outputs).map(([name, output]) => {
        const data = Array.from(output.data as ArrayLike<number | bigint>, Number);
        return [name, { dtype: output.type, shape: output.dims, data }] as const;
      });
      return Object.fromEntries(results);
    },
    release: () => session.release(),
  };
}

export async function runModel(
  model: Uint8Array | string,
  feeds: Feeds,
  level?: OptimizationLevel,
): Promise<Record<string, Result>> {
  const open = await openModel(model, level);
  try {
    return await open.run(feeds);
  } finally {
    await open.release();
  }
}

export async function runGraph(graph: Graph, feeds: Feeds, level?: OptimizationLevel) {
  return runModel(encodeModelProto(graph), feeds, level);
}

/** Numbers −1 … 1 by a fixed sequence. */
export function numbers(count: number, seed = 1): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}
