/**
 * Tensors between JavaScript's memory and ONNX Runtime's: an input lends its array, an output is copied once and freed.
 */
import koffi from "koffi";
import { bytesPerElement } from "../../tensor/dtype.ts";
import type { DType } from "../../tensor/dtype.ts";
import { codeOfDtype } from "../../tensor/element-type.ts";
import { elementCount } from "../../tensor/shape.ts";
import type { Shape } from "../../tensor/shape.ts";
import { type Tensor, tensorFromBytes } from "../../tensor/tensor.ts";
import { RuntimeError } from "../session.ts";
import type { Pointer } from "./native-function.ts";
import type { OrtApi } from "./ort-api.ts";
import { received } from "./received.ts";
import { elementType, sizes } from "./value-info.ts";

/** C asks for an address even of nothing. */
const nothing = new Uint8Array(8);

/**
 * An OrtValue over the tensor's own array, which must stay reachable and unchanged until the value is released.
 * @param memory the CPU's memory info
 */
export function lendTensor(api: OrtApi, memory: Pointer, tensor: Tensor): Pointer {
  const { data, dtype, shape } = tensor;
  // Arrays of a few bytes lie inside V8's heap, and move, until somebody has asked for their buffer.
  const address = data.buffer.byteLength === 0 ? nothing : data;
  return wrapMemory(api, memory, { address, byteLength: data.byteLength, dtype, shape });
}

export type Piece = {
  readonly address: Pointer | ArrayBufferView;
  readonly byteLength: number;
  readonly dtype: DType;
  readonly shape: Shape;
};

/** An OrtValue over memory that stays its owner's. @param info where the memory is */
export function wrapMemory(api: OrtApi, info: Pointer, piece: Piece): Pointer {
  const { address, byteLength, dtype } = piece;
  const shape = BigInt64Array.from(piece.shape, BigInt);
  return received((out) =>
    api.createTensorWithData(
      info,
      address,
      byteLength,
      shape.length === 0 ? nothing : shape,
      shape.length,
      codeOfDtype(dtype),
      out,
    ),
  );
}

/** A copy of an OrtValue in CPU memory; the value itself is not released. */
export function copyTensor(api: OrtApi, value: Pointer): Tensor {
  const info = received((out) => api.getTensorTypeAndShape(value, out));
  try {
    const dtype = elementType(api, info);
    if (dtype === null) throw new RuntimeError("an output is of a type unknown here");
    const shape = sizes(api, info);
    const length = elementCount(shape) * bytesPerElement(dtype);
    const bytes = length === 0 ? new Uint8Array(0) : copyBytes(api, value, length);
    return tensorFromBytes(dtype, shape, bytes);
  } finally {
    api.releaseTensorTypeAndShapeInfo(info);
  }
}

function copyBytes(api: OrtApi, value: Pointer, length: number): Uint8Array {
  const address = received((out) => api.getTensorMutableData(value, out));
  // The view is the OrtValue's own memory: it must not outlive this function.
  return new Uint8Array(koffi.view(address, length).slice(0));
}
