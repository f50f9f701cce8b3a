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
import type { NativeRun, RunThread } from "./run-thread.ts";
import { received } from "./received.ts";

export type NativeSession = {
  readonly api: OrtApi;
  readonly session: Pointer;
  /** The CPU's memory info. */
  readonly memory: Pointer;
  readonly provider: Provider;
  readonly concurrency: number;
  /** Of a session that captures, whose runs are all on it. */
  readonly thread: RunThread | null;
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
  /** Of a session that captures: the number of what is captured. Absent: nothing is. */
  captured?: number;
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

/** By number, as text; −1 for a run that is not to be captured (onnxruntime_run_options_config_keys.h). */
const capturedGraph = "gpu_graph_id";

/** Addresses of names and of OrtValues. */
type Values = Omit<NativeRun, "session" | "options">;

function runOnPool({ api }: NativeSession, run: NativeRun): Promise<void> {
  const { session, options, inputNames, inputs, outputNames, outputs } = run;
  const [given, made] = [inputs.length, outputs.length];
  return api.run(session, options, inputNames, inputs, given, outputNames, made, outputs);
}

/** @throws the signal's reason where it was aborted, even if the run had come to its end by then */
async function runNative(native: NativeSession, call: Call, values: Values): Promise<void> {
  const { api, session, thread } = native;
  const { signal, returnsMemory = false, captured = -1 } = call;
  const options = received((out) => api.createRunOptions(out));
  if (returnsMemory) api.addRunConfigEntry(options, ...shrinkingArena);
  if (thread !== null) api.addRunConfigEntry(options, capturedGraph, String(captured));
  const stop = (): void => api.setTerminate(options);
  signal?.addEventListener("abort", stop, { once: true });
  try {
    const run = { session, options, ...values };
    await (thread === null ? runOnPool(native, run) : thread.run(run));
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
    api.releaseRunOptions(options);
  }
  signal?.throwIfAborted();
}
