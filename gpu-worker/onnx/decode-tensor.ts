/**
 * A TensorProto as a tensor: raw bytes, typed fields, or a reference into another file. The count of elements must be
 * what the shape says, before anything is allocated for it.
 */
import { bytesPerElement } from "../tensor/dtype.ts";
import type { DType, TypedArray } from "../tensor/dtype.ts";
import { dtypeOfCode } from "../tensor/element-type.ts";
import { elementCount } from "../tensor/shape.ts";
import { arrayFromBytes, bytesOf, tensor } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { ExternalData } from "./external-data.ts";
import { GraphError } from "./graph.ts";
import type { Initializer } from "./graph.ts";
import { TensorProto_DataLocation as DataLocation } from "./proto/onnx_pb.js";
import type { TensorProto } from "./proto/onnx_pb.js";

/** Bytes of `location` (relative to the model file) from `offset` on. */
export type ReadExternal = (location: string, offset: number, length: number) => Uint8Array;

type Header = { readonly name: string; readonly dtype: DType; readonly shape: readonly number[] };

/** Throws `GraphError`, naming the value, for a type that no tensor of ours has. */
export function decodeDtype(code: number, name: string): DType {
  const dtype = dtypeOfCode(code);
  if (dtype === null) throw new GraphError(`"${name}" has the unknown element type ${code}`);
  return dtype;
}

function decodeHeader({ name, dataType, dims }: TensorProto): Header {
  const dtype = decodeDtype(dataType, name);
  const shape = dims.map(Number);
  if (shape.some((length) => length < 0)) throw new GraphError(`"${name}" has a negative length`);
  return { name, dtype, shape };
}

/** Elements from the typed field of their dtype. */
function typedElements(message: TensorProto, dtype: DType): TypedArray {
  switch (dtype) {
    case "float32":
      return Float32Array.from(message.floatData);
    case "float64":
      return Float64Array.from(message.doubleData);
    case "int64":
      return BigInt64Array.from(message.int64Data);
    case "uint64":
      return BigUint64Array.from(message.uint64Data);
    case "uint32":
      return Uint32Array.from(message.uint64Data, Number);
    case "int32":
      return Int32Array.from(message.int32Data);
    case "int16":
      return Int16Array.from(message.int32Data);
    case "int8":
      return Int8Array.from(message.int32Data);
    case "uint8":
    case "bool":
      return Uint8Array.from(message.int32Data);
    case "uint16":
    case "float16":
    case "bfloat16":
      return Uint16Array.from(message.int32Data);
  }
}

function decodeExternalData({ externalData }: TensorProto, { name, dtype, shape }: Header) {
  const entries = new Map(externalData.map(({ key, value }) => [key, value]));
  const size = elementCount(shape) * bytesPerElement(dtype);
  const found: ExternalData = {
    location: entries.get("location") ?? "",
    offset: Number(entries.get("offset") ?? 0),
    length: Number(entries.get("length") ?? size),
  };
  const offsetFits = Number.isSafeInteger(found.offset) && found.offset >= 0;
  if (found.location === "" || !offsetFits || found.length !== size) {
    throw new GraphError(`"${name}" has a bad reference into another file`);
  }
  return found;
}

function inlineElements(message: TensorProto, { name, dtype, shape }: Header): TypedArray {
  const size = elementCount(shape) * bytesPerElement(dtype);
  const { rawData } = message;
  const bytes = rawData.length > 0 ? rawData : bytesOf(typedElements(message, dtype));
  if (bytes.length !== size) {
    throw new GraphError(`"${name}" has ${bytes.length} bytes, its shape needs ${size}`);
  }
  return arrayFromBytes(dtype, bytes);
}

export function decodeInitializer(message: TensorProto, readExternal: ReadExternal): Initializer {
  const header = decodeHeader(message);
  if (message.dataLocation === DataLocation.EXTERNAL) {
    const { location, offset, length } = decodeExternalData(message, header);
    const load = () => arrayFromBytes(header.dtype, readExternal(location, offset, length));
    return { ...header, load };
  }
  const data = inlineElements(message, header);
  return { ...header, load: () => data };
}

export function decodeTensor(message: TensorProto): Tensor {
  const header = decodeHeader(message);
  return tensor(header.dtype, header.shape, inlineElements(message, header));
}
