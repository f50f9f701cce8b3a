/**
 * Counts what goes wrong with a device, apart from what is wrong with a model or an input. After a CUDA error the
 * context is often lost, and every later run of the process fails. So after a fault the device is tested again, and
 * faults in a row, or a failed test, mean that it is broken; the process is to be ended then.
 */
import { RuntimeError } from "./session.ts";
import type { LoadedSession, LoadOptions, ModelSource, Runtime, RuntimeLog } from "./session.ts";

/** The device failed, and what was to be computed may succeed on another. */
class DeviceFault extends RuntimeError {}

/** Whether the error, or what caused it, is a fault of a device. */
export function isDeviceFault(error: unknown): boolean {
  if (error instanceof DeviceFault) return true;
  return error instanceof Error && error.cause !== undefined && isDeviceFault(error.cause);
}

/**
 * What ONNX Runtime's CUDA provider says when a call of CUDA, cuBLAS or cuDNN fails (cuda_call.cc: "CUDA failure 700:
 * …"). Memory that ran out is no fault: smaller batches follow, and the arena's own refusal has other words.
 */
export function isCudaFault(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const failed = /\b(?:CUDA|CUBLAS|CUDNN|CURAND|CUFFT) (?:failure|error)\b/i.test(error.message);
  return failed && !/out of memory|failure 2:|ALLOC_FAILED/i.test(error.message);
}

export type FaultOptions = {
  isFault: (error: unknown) => boolean;
  /** Rejects where the device does not compute as it should. */
  retest: () => Promise<void>;
  /** Called once. */
  onBroken: (reason: string) => void;
  log: RuntimeLog;
};

/** Faults without a run in between that succeeds. */
const faultsInRowMax = 3;

/** The runtime, whose sessions on a device throw DeviceFault for faults of it. Those on the CPU are not watched. */
export function watchDevice(runtime: Runtime, options: FaultOptions): Runtime {
  const count = faultCounter(options);
  const watch =
    <A extends unknown[], T>(run: (...args: A) => Promise<T>) =>
    async (...args: A): Promise<T> => {
      const outputs = await run(...args).catch(count.failed);
      count.succeeded();
      return outputs;
    };
  const load = async (model: ModelSource, how: LoadOptions): Promise<LoadedSession> => {
    if (how.provider === "cpu") return runtime.load(model, how);
    const session = await runtime.load(model, how).catch(count.failed);
    const bind: LoadedSession["bind"] = (binding) => {
      const bound = session.bind(binding);
      return { ...bound, run: watch(bound.run) };
    };
    const allocate = watch(session.allocate);
    return { ...session, run: watch(session.run), allocate, bind };
  };
  return { ...runtime, load };
}

function faultCounter({ isFault, retest, onBroken, log }: FaultOptions) {
  let inRow = 0;
  let broken = false;
  const giveUp = (reason: string): void => {
    if (broken) return;
    broken = true;
    onBroken(reason);
  };
  return {
    succeeded: (): void => void (inRow = 0),
    /** @throws what it was given, as a DeviceFault where it is one */
    failed: (error: unknown): never => {
      if (!isFault(error)) throw error;
      inRow += 1;
      const words = error instanceof Error ? error.message : String(error);
      log.warn({ error, inRow }, `a fault of the device: ${words}`);
      if (inRow === 1) retest().catch(() => giveUp(`it fails its test after a fault: ${words}`));
      if (inRow >= faultsInRowMax) giveUp(`${inRow} faults in a row: ${words}`);
      throw new DeviceFault(words, { cause: error });
    },
  };
}
