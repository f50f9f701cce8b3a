/**
 * What the rest of the worker sees of ONNX Runtime: a `Runtime` loads models, a `Session` runs one. Two runtimes keep
 * this promise, the C API (c-api/) and the Node binding in a thread (node-binding/); `openRuntime` chooses. Types only.
 */
import type { DType } from "../tensor/dtype.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Binder } from "./bound-session.ts";

/** Where the products are computed. */
export type Provider = "cpu" | "cuda";

/**
 * A model file, or its bytes. Weights may lie in further files (ONNX external data): beside the model file, or in
 * `weightsFolder`. ONNX Runtime maps such files into memory, so models that name the same file share its pages.
 */
export type ModelSource =
  | { readonly path: string }
  | { readonly bytes: Uint8Array; readonly weightsFolder?: string };

export type LoadOptions = {
  /**
   * Threads that share one operator's work, the calling one included: so many of the session's own, or those that all
   * `shared` sessions have together, see `Runtime.threads`.
   */
  threads: number | "shared";
  /**
   * Runs of the session that may compute at the same time, default 1. Several runs of a thread each get more out of a
   * CPU than one run of several threads that wait for each other. The Node binding computes one at a time all the same.
   */
  concurrency?: number;
  /** One of the runtime's `providers`. Operators that CUDA has not are computed on the CPU. */
  provider: Provider;
  /**
   * How long a thread spins for its next piece of work before it sleeps. Default 50: measured on two vCPU, up to a
   * quarter faster than sleeping at once; longer gains nothing more, and halves the speed where cores are shared. 0:
   * never.
   */
  spinMicroseconds?: number;
  /** False: loading fails where the device leaves an operator to the CPU. Default true. */
  cpuFallback?: boolean;
  /**
   * Runs that are bound to be captured (`Binding.captured`) are, on a GPU, as CUDA graphs: of a graph without control
   * flow, all of it on the device. Where nothing can be captured, all that differs is that one thread computes all runs
   * of the session. The C API's alone. Default false.
   */
  captures?: boolean;
  /** Most that the session may take of a device's memory, weights included. Default: no bound. */
  deviceMemoryBytes?: number;
  /** Stops waiting for the model; what was loaded of it is freed. */
  signal?: AbortSignal;
};

/** An input or output of a model. A name in `shape` (it may be empty) is a size that differs from run to run. */
export type ValueInfo = {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly (number | string)[];
};

export type RunOptions = {
  /** Outputs wanted; all when left out. Operators run whatever is wanted. */
  outputs?: readonly string[];
  /** Stops the run itself where the runtime can, see `Session.run`. */
  signal?: AbortSignal;
  /**
   * Gives back what runs of all sessions on the CPU have left of memory, for a later one to take again. The C API's
   * alone.
   */
  returnsMemory?: boolean;
};

export type Session = {
  readonly provider: Provider;
  /** Runs that compute at the same time; more of them wait for their turn. */
  readonly concurrency: number;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /**
   * Runs the model off the event loop. Runs of one session start in the order they were asked for, `concurrency` at a
   * time; sessions run side by side. The feeds' arrays must not change until the promise settles; the arrays of the
   * result belong to the caller. An aborted run rejects with the signal's reason and the session stays usable; the C
   * API stops computing at the next operator, the Node binding computes to the end and drops the result.
   * @throws RuntimeError for feeds that do not fit, for what ONNX Runtime refuses, and after `release`
   */
  run: (feeds: Record<string, Tensor>, options?: RunOptions) => Promise<Record<string, Tensor>>;
  /** Waits for the runs asked for, then frees everything. A second call waits for the first. */
  release: () => Promise<void>;
};

/** A session as the runtime gives it: it binds values too, with the C API. The Node binding refuses. */
export type LoadedSession = Session & Binder;

export type Runtime = {
  readonly name: "c-api" | "node-binding";
  /** Of ONNX Runtime, such as `1.30.0`: part of a compiled model's cache key. */
  readonly version: string;
  /** Providers whose self-test ran here, the one to ask for first. */
  readonly providers: readonly Provider[];
  /** Threads that compute for all `shared` sessions together: see share-threads.ts for how runs divide them. */
  readonly threads: number;
  /** Of the GPU it computes on; null: on none, 0: not known. */
  readonly deviceMemoryBytes: number | null;
  /** One line for a log or a health page: runtime, version, providers. */
  describe: () => string;
  /** @throws RuntimeError for a model that cannot be read or used */
  load: (model: ModelSource, options: LoadOptions) => Promise<LoadedSession>;
};

/** What loads models for a runtime, before anybody knows which providers work. */
export type Loader = Pick<Runtime, "name" | "version" | "load">;

/** What the runtime says while it starts. A pino logger fits. */
export type RuntimeLog = {
  info: (fields: object, message: string) => void;
  warn: (fields: object, message: string) => void;
};

/** ONNX Runtime, or this room on its behalf, refuses: the message says what. */
export class RuntimeError extends Error {
  override readonly name = "RuntimeError";
}
