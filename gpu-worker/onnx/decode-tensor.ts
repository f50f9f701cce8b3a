/**
 * A TensorProto as a tensor: raw bytes, typed fields, or a reference into another file. The count of elements must be
 * what the shape says, before anything is allocated for it.
 */
import { bytesPerElement } from "../tensor/dtype.ts";
import type { DType, TypedArray } from "../tensor/dtype.ts";
import { elementCount } from "../tensor/shape.ts";
import { arrayFromBytes, bytesOf, tensor } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { dtypeOfCode } from "../tensor/element-type.ts";
import type { ExternalPlace } from "./encode-model.ts";
import * as fields from "./fields.ts";
import { GraphError } from "./graph.ts";
import type { Initializer } from "./graph.ts";
import type { WireMessage } from "./wire-reader.ts";

/** Bytes of `location` (relative to the model file) from `offset` on. */
export type ReadExternal = (location: string, offset: number, length: number) => Uint8Array;

type Header = { readonly name: string; readonly dtype: DType; readonly shape: readonly number[] };

function decodeHeader(message: WireMessage): Header {
  const name = message.string(fields.tensor.name);
  const code = Number(message.int(fields.tensor.dataType));
  const dtype = dtypeOfCode(code);
  if (dtype === null) throw new GraphError(`"${name}" has the unknown element type ${code}`);
  const shape = message.ints(fields.tensor.dims).map(Number);
  if (shape.some((length) => length < 0)) throw new GraphError(`"${name}" has a negative length`);
  return { name, dtype, shape };
}

/** Elements from the typed field of their dtype. */
function typedElements(message: WireMessage, dtype: DType): TypedArray {
  const at = fields.tensor;
  switch (dtype) {
    case "float32":
      return Float32Array.from(message.floats(at.floatData));
    case "float64":
      return Float64Array.from(message.doubles(at.doubleData));
    case "int64":
      return BigInt64Array.from(message.ints(at.int64Data));
    case "uint64":
      return BigUint64Array.from(message.ints(at.uint64Data));
    case "uint32":
      return Uint32Array.from(message.ints(at.uint64Data), Number);
    case "int32":
      return Int32Array.from(message.ints(at.int32Data), Number);
    case "int16":
      return Int16Array.from(message.ints(at.int32Data), Number);
    case "int8":
      return Int8Array.from(message.ints(at.int32Data), Number);
    case "uint8":
    case "bool":
      return Uint8Array.from(message.ints(at.int32Data), Number);
    case "uint16":
    case "float16":
    case "bfloat16":
      return Uint16Array.from(message.ints(at.int32Data), Number);
  }
}

function externalPlace(message: WireMessage, { name, dtype, shape }: Header): ExternalPlace {
  const entries = new Map(
    message
      .messages(fields.tensor.externalData)
      .map((entry) => [entry.string(fields.entry.key), entry.string(fields.entry.value)]),
  );
  const size = elementCount(shape) * bytesPerElement(dtype);
  const offset = Number(entries.get("offset") ?? 0);
  const length = Number(entries.get("length") ?? size);
  const location = entries.get("location") ?? "";
  if (location === "" || !Number.isSafeInteger(offset) || offset < 0 || length !== size) {
    throw new GraphError(`"${name}" has a bad reference into another file`);
  }
  return { location, offset, length };
}

function inlineElements(message: WireMessage, { name, dtype, shape }: Header): TypedArray {
  const raw = message.bytes(fields.tensor.rawData).at(-1);
  const size = elementCount(shape) * bytesPerElement(dtype);
  const bytes = raw ?? bytesOf(typedElements(message, dtype));
  if (bytes.length !== size) {
    throw new GraphError(`"${name}" has ${bytes.length} bytes, its shape needs ${size}`);
  }
  return arrayFromBytes(dtype, bytes);
}

export function decodeInitializer(message: WireMessage, readExternal: ReadExternal): Initializer {
  const header = decodeHeader(message);
  if (Number(message.int(fields.tensor.dataLocation)) === fields.EXTERNAL) {
    const { location, offset, length } = externalPlace(message, header);
    const load = () => arrayFromBytes(header.dtype, readExternal(location, offset, length));
    return { ...header, load };
  }
  const data = inlineElements(message, header);
  return { ...header, load: () => data };
}

export function decodeTensor(message: WireMessage): Tensor {
  const header = decodeHeader(message);
  return tensor(header.dtype, header.shape, inlineElements(message, header));
}
