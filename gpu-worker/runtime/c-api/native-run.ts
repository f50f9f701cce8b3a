/**
 * One run of a native session, on a thread of libuv's pool. Each native thing made for it is released when it has
 * ended, however it ended.
 */
import type { Tensor } from "../../tensor/tensor.ts";
import type { Provider, RunOptions } from "../session.ts";
import type { Pointer } from "./native-function.ts";
import { nativeNames } from "./native-names.ts";
import { copyTensor, lendTensor } from "./native-tensor.ts";
import type { OrtApi } from "./ort-api.ts";
import { received } from "./received.ts";

export type NativeSession = {
  readonly api: OrtApi;
  readonly session: Pointer;
  /** The CPU's memory info. */
  readonly memory: Pointer;
  readonly provider: Provider;
  readonly concurrency: number;
};

/** OrtValues by name that live longer than a run. */
export type BoundValues = {
  readonly names: readonly string[];
  readonly values: readonly Pointer[];
};

export type Call = {
  feeds: Record<string, Tensor>;
  /** Outputs that ONNX Runtime makes and the run gives. */
  wanted: readonly string[];
  bound?: { readonly inputs: BoundValues; readonly outputs: BoundValues };
} & Omit<RunOptions, "outputs">;

/** Feeds of runs under way: ONNX Runtime reads their memory, and nobody else may hold them any more. */
const lent = new Set<Record<string, Tensor>>();

const nothingBound: BoundValues = { names: [], values: [] };

export async function compute(native: NativeSession, call: Call): Promise<Record<string, Tensor>> {
  const { api, memory } = native;
  const { feeds, wanted, bound = { inputs: nothingBound, outputs: nothingBound } } = call;
  const inputs: Pointer[] = [];
  // ONNX Runtime makes those that are 0, in the CPU's memory.
  const outputs = BigUint64Array.from([...wanted.map(() => 0n), ...bound.outputs.values]);
  lent.add(feeds);
  try {
    for (const feed of Object.values(feeds)) inputs.push(lendTensor(api, memory, feed));
    await runNative(native, call, {
      inputNames: nativeNames([...Object.keys(feeds), ...bound.inputs.names]),
      inputs: BigUint64Array.from([...inputs, ...bound.inputs.values]),
      outputNames: nativeNames([...wanted, ...bound.outputs.names]),
      outputs,
    });
    const results = wanted.map((name, index) => [name, copyTensor(api, outputs[index] ?? 0n)]);
    return Object.fromEntries(results);
  } finally {
    lent.delete(feeds);
    const made = [...inputs, ...outputs.subarray(0, wanted.length)];
    for (const value of made) if (value !== 0n) api.releaseValue(value);
  }
}

/** Of the CPU's arena, when the run ends (onnxruntime_run_options_config_keys.h). */
const shrinkingArena = ["memory.enable_memory_arena_shrinkage", "cpu:0"] as const;

/** Addresses of names and of OrtValues. */
type Values = {
  inputNames: BigUint64Array;
  inputs: BigUint64Array;
  outputNames: BigUint64Array;
  outputs: BigUint64Array;
};

/** @throws the signal's reason where it was aborted, even if the run had come to its end by then */
async function runNative(native: NativeSession, call: Call, values: Values): Promise<void> {
  const { api, session } = native;
  const { signal, returnsMemory = false } = call;
  const { inputNames, inputs, outputNames, outputs } = values;
  const options = received((out) => api.createRunOptions(out));
  if (returnsMemory) api.addRunConfigEntry(options, ...shrinkingArena);
  const stop = (): void => api.setTerminate(options);
  signal?.addEventListener("abort", stop, { once: true });
  try {
    const [given, made] = [inputs.length, outputs.length];
    await api.run(session, options, inputNames, inputs, given, outputNames, made, outputs);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
    api.releaseRunOptions(options);
  }
  signal?.throwIfAborted();
}
