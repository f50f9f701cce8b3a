/**
 * One run of a native session, on a thread of libuv's pool. Each native thing made for it is released when it has
 * ended, however it ended.
 */
import type { Tensor } from "../../tensor/tensor.ts";
import type { Provider, RunOptions } from "../session.ts";
import type { Pointer } from "./native-function.ts";
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

export type Call = { feeds: Record<string, Tensor>; wanted: string[] } & Omit<
  RunOptions,
  "outputs"
>;

/** Feeds of runs under way: ONNX Runtime reads their memory, and nobody else may hold them any more. */
const lent = new Set<Record<string, Tensor>>();

export async function compute(native: NativeSession, call: Call): Promise<Record<string, Tensor>> {
  const { api, memory } = native;
  const inputs: Pointer[] = [];
  const outputs = new BigUint64Array(call.wanted.length);
  lent.add(call.feeds);
  try {
    for (const feed of Object.values(call.feeds)) inputs.push(lendTensor(api, memory, feed));
    await runNative(native, call, { inputs: BigUint64Array.from(inputs), outputs });
    const results = call.wanted.map((name, index) => [name, copyTensor(api, outputs[index] ?? 0n)]);
    return Object.fromEntries(results);
  } finally {
    lent.delete(call.feeds);
    for (const value of [...inputs, ...outputs]) if (value !== 0n) api.releaseValue(value);
  }
}

/** Of the CPU's arena, when the run ends (onnxruntime_run_options_config_keys.h). */
const shrinkingArena = ["memory.enable_memory_arena_shrinkage", "cpu:0"] as const;

/** Addresses of OrtValues; ONNX Runtime makes the outputs. */
type Values = { inputs: BigUint64Array; outputs: BigUint64Array };

/** @throws the signal's reason where it was aborted, even if the run had come to its end by then */
async function runNative(native: NativeSession, call: Call, values: Values): Promise<void> {
  const { api, session } = native;
  const { feeds, wanted, signal, returnsMemory = false } = call;
  const { inputs, outputs } = values;
  const names = Object.keys(feeds);
  const options = received((out) => api.createRunOptions(out));
  if (returnsMemory) api.addRunConfigEntry(options, ...shrinkingArena);
  const stop = (): void => api.setTerminate(options);
  signal?.addEventListener("abort", stop, { once: true });
  try {
    await api.run(session, options, names, inputs, names.length, wanted, wanted.length, outputs);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
    api.releaseRunOptions(options);
  }
  signal?.throwIfAborted();
}
