/** A tensor over bytes whose element type is known only at run time. */
import type { DType } from "../tensor/dtype.ts";
import type { Shape } from "../tensor/shape.ts";
import { arrayFromBytes } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Shares the memory of `bytes` where it is aligned. */
export function tensorOf<D extends DType>(dtype: D, shape: Shape, bytes: Uint8Array): Tensor<D> {
  return { dtype, shape, data: arrayFromBytes(dtype, bytes) };
}
