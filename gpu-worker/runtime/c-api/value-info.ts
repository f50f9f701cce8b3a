/** The names, element types and shapes of a native session's inputs and outputs. */
import koffi from "koffi";
import type { DType } from "../../tensor/dtype.ts";
import { dtypeOfCode } from "../../tensor/element-type.ts";
import { RuntimeError } from "../session.ts";
import type { ValueInfo } from "../session.ts";
import type { Pointer } from "./native-function.ts";
import { received } from "./received.ts";
import type { OrtApi } from "./ort-api.ts";

/** @throws RuntimeError where an input is no tensor of a type this worker knows */
export function readInputs(api: OrtApi, session: Pointer): ValueInfo[] {
  const count: [number] = [0];
  api.sessionGetInputCount(session, count);
  return Array.from({ length: count[0] }, (_, index) => {
    const name = received((out) =>
      api.sessionGetInputName(session, index, defaultAllocator(api), out),
    );
    const type = received((out) => api.sessionGetInputTypeInfo(session, index, out));
    return readValue(api, name, type);
  });
}

/** @throws RuntimeError where an output is no tensor of a type this worker knows */
export function readOutputs(api: OrtApi, session: Pointer): ValueInfo[] {
  const count: [number] = [0];
  api.sessionGetOutputCount(session, count);
  return Array.from({ length: count[0] }, (_, index) => {
    const name = received((out) =>
      api.sessionGetOutputName(session, index, defaultAllocator(api), out),
    );
    const type = received((out) => api.sessionGetOutputTypeInfo(session, index, out));
    return readValue(api, name, type);
  });
}

/** One per process, never to be released. */
function defaultAllocator(api: OrtApi): Pointer {
  return received((out) => api.getDefaultAllocator(out));
}

/** Frees both addresses. */
function readValue(api: OrtApi, nameAddress: Pointer, typeInfo: Pointer): ValueInfo {
  try {
    const name = koffi.decode.string(nameAddress);
    const tensorInfo: [Pointer | null] = [null];
    api.castTypeInfoToTensorInfo(typeInfo, tensorInfo);
    const dtype = tensorInfo[0] === null ? null : elementType(api, tensorInfo[0]);
    if (tensorInfo[0] === null || dtype === null) {
      throw new RuntimeError(`${name} is no tensor of a type that this worker knows`);
    }
    return { name, dtype, shape: symbolicShape(api, tensorInfo[0]) };
  } finally {
    api.releaseTypeInfo(typeInfo);
    api.allocatorFree(defaultAllocator(api), nameAddress);
  }
}

export function elementType(api: OrtApi, tensorInfo: Pointer): DType | null {
  const number: [number] = [0];
  api.getTensorElementType(tensorInfo, number);
  return dtypeOfCode(number[0]);
}

/** Sizes; −1 where a size is not fixed. */
export function sizes(api: OrtApi, tensorInfo: Pointer): number[] {
  const rank: [number] = [0];
  api.getDimensionsCount(tensorInfo, rank);
  const dimensions = new BigInt64Array(rank[0]);
  if (rank[0] > 0) api.getDimensions(tensorInfo, dimensions, rank[0]);
  return Array.from(dimensions, Number);
}

function symbolicShape(api: OrtApi, tensorInfo: Pointer): (number | string)[] {
  const fixed = sizes(api, tensorInfo);
  const names = new BigUint64Array(fixed.length);
  if (fixed.length > 0) api.getSymbolicDimensions(tensorInfo, names, fixed.length);
  return fixed.map((size, axis) => {
    const name = names[axis] ?? 0n;
    if (size >= 0) return size;
    return name === 0n ? "" : koffi.decode.string(name);
  });
}
