/** What this machine is measured for when it chooses a form: a fraction of a second of matrix products in each. */
import { machineKey } from "../runtime/machine-key.ts";
import { measureGemm } from "../runtime/measure-gemm.ts";
import { probeSaturation } from "../runtime/probe-saturation.ts";
import { readMachine } from "../runtime/read-machine.ts";
import type { Runtime } from "../runtime/session.ts";
import type { Calibration } from "./form-choice.ts";

/** Enough for a product to be at its peak; best of three, because other processes only make it slower. */
const effort = { rows: 1_024, repeats: 3 };

export async function calibrate(runtime: Runtime, signal: AbortSignal): Promise<Calibration> {
  const options = { ...effort, threads: runtime.threads, signal, now: () => performance.now() };
  return {
    f32: await measureGemm(runtime, { ...options, dtype: "float32" }),
    int8: await measureGemm(runtime, { ...options, dtype: "int8" }),
    saturates: await probeSaturation(runtime),
  };
}

/** The name under which a calibration is kept. */
export function calibrationKey(runtime: Runtime): string {
  const machine = machineKey(readMachine());
  return `${machine}, ${runtime.threads} threads, ONNX Runtime ${runtime.version}`;
}
