/**
 * Values that stay where the products are computed, and sessions bound to them: a run reads and writes them without a
 * copy. One that is bound as an input and as an output is updated in place. Types only; the C API's runtime alone has
 * them (c-api/).
 */
import type { DType } from "../tensor/dtype.ts";
import type { Shape } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

/**
 * Memory of the session's provider, as a tensor. Whoever reads or writes it awaits the runs that use it first: nothing
 * here puts them in order.
 */
export type ResidentValue = {
  readonly dtype: DType;
  readonly shape: Shape;
  /** The elements from `offset` on as a value of its own, over the same memory. */
  view: (offset: number, shape: Shape) => ResidentValue;
  /** Copies the tensor, of the value's own element type and shape, which must not change until then. */
  write: (tensor: Tensor) => Promise<void>;
  /** A copy. */
  read: () => Promise<Tensor>;
  /** A copy in the caller's memory, which is as long as the value. */
  readInto: (data: ArrayBufferView) => Promise<void>;
  /** Copies another value of the same provider, element type and shape, which shares no memory with it. */
  copyFrom: (source: ResidentValue) => Promise<void>;
  /**
   * What it holds is not needed any more, and is undefined until it is written: a CPU's machine has the memory back
   * until then.
   */
  discard: () => Promise<void>;
};

/** A value with its memory. */
export type AllocatedValue = ResidentValue & {
  /** Frees the memory, its views' too, when no run uses it any more; a second call waits for the first. */
  release: () => Promise<void>;
};

export type Binding = {
  /** The rest is given to each run. */
  readonly inputs?: Readonly<Record<string, ResidentValue>>;
  /** Where each is put: into a value, or `host` for a tensor that the run gives. No others are kept. */
  readonly outputs: Readonly<Record<string, ResidentValue | "host">>;
  /**
   * Of a session that captures: the first run is kept, and any other repeats what it did, with what lies in the values
   * bound by then. So whatever is not bound has to be the same in all runs.
   */
  readonly captured?: boolean;
  /** The graph writes to other parts of them: outputs may share memory. Default: that is refused. */
  readonly sharing?: boolean;
};

export type BoundSession = {
  /**
   * As `Session.run`, in turn with the session's other runs, and one after the other. The graph decides whether an
   * update in place is sound: no operator may read the input after another has written the output. What an aborted or
   * failed run had written by then stays.
   * @param feeds the inputs that are not bound
   * @throws RuntimeError for feeds that do not fit, and where something bound was released
   */
  run: (
    feeds: Record<string, Tensor>,
    options?: { readonly signal?: AbortSignal },
  ) => Promise<Record<string, Tensor>>;
  /** Waits for the runs asked for. The values stay their owners'. */
  release: () => Promise<void>;
};

/** What a session can that was loaded, beside what `Session` says. */
export type Binder = {
  /**
   * A value of zeros, which takes a CPU's memory page by page as it is written. It is freed with the session at the
   * latest; other sessions on the same provider may bind it too.
   * @throws RuntimeError for what is no shape, and where memory is short
   */
  allocate: (dtype: DType, shape: Shape) => Promise<AllocatedValue>;
  /** @throws RuntimeError that names the input or output that does not fit */
  bind: (binding: Binding) => BoundSession;
};
