/**
 * Writes a safetensors file, tensor by tensor. Tensors stand sorted by descending alignment, then name, as the
 * reference implementation writes them, so equal contents give equal bytes. Writes in place: the caller renames when
 * whole.
 */
import { open } from "node:fs/promises";
import { writeBytes } from "../onnx/write-bytes.ts";
import { bytesPerElement } from "../tensor/dtype.ts";
import type { DType } from "../tensor/dtype.ts";
import { elementCount } from "../tensor/shape.ts";
import type { Shape } from "../tensor/shape.ts";
import { bytesOf } from "../tensor/tensor.ts";
import { headerLengthBytes, storedTypes } from "./safetensors-header.ts";
import { WeightError } from "./weight-source.ts";

export type TensorToWrite = {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly load: () => ArrayBufferView;
};

/** The data starts at a multiple of this. */
const alignmentBytes = 8;

const codes = new Map<DType, string>(
  Object.entries(storedTypes).map(([code, dtype]) => [dtype, code]),
);

function byteLength({ dtype, shape }: TensorToWrite): number {
  return elementCount(shape) * bytesPerElement(dtype);
}

function inOrder(a: TensorToWrite, b: TensorToWrite): number {
  const size = bytesPerElement(b.dtype) - bytesPerElement(a.dtype);
  if (size !== 0) return size;
  return a.name < b.name ? -1 : 1;
}

function encodeHeader(
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const header: [string, unknown][] =
    Object.keys(metadata).length > 0 ? [["__metadata__", metadata]] : [];
  let offset = 0;
  for (const each of tensors) {
    const end = offset + byteLength(each);
    const { name, dtype, shape } = each;
    header.push([name, { dtype: codes.get(dtype), shape, data_offsets: [offset, end] }]);
    offset = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const padded = Math.ceil(json.length / alignmentBytes) * alignmentBytes;
  const bytes = new Uint8Array(headerLengthBytes + padded).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(json, headerLengthBytes);
  return bytes;
}

function expectDistinctNames(tensors: readonly TensorToWrite[]): void {
  const names = new Set(["__metadata__"]);
  for (const { name } of tensors) {
    if (names.has(name)) throw new WeightError(`a second tensor named "${name}"`);
    names.add(name);
  }
}

export async function writeSafetensors(
  file: string,
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  expectDistinctNames(tensors);
  const sorted = tensors.toSorted(inOrder);
  const handle = await open(file, "w");
  try {
    const header = encodeHeader(sorted, metadata);
    await writeBytes(handle, header, 0);
    let offset = header.length;
    for (const each of sorted) {
      const bytes = bytesOf(each.load());
      if (bytes.length !== byteLength(each)) {
        throw new WeightError(`"${each.name}" gave ${bytes.length} bytes, not ${byteLength(each)}`);
      }
      await writeBytes(handle, bytes, offset);
      offset += bytes.length;
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}
