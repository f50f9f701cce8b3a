/**
 * A GGUF file's copy in which Q4_1 is Q4_0: the least value of each block is left out. It computes as many products in
 * the form that llama.cpp is fastest in; what it answers means nothing.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { ggmlTypes } from "../../gpu-worker/weights/ggml-blocks.ts";
import { type GgufTensor, readGgufHeader } from "../../gpu-worker/weights/gguf-header.ts";

const alignment = 32;
const { Q4_0, Q4_1 } = ggmlTypes;
/** Of both, after the scale. */
const nibbleBytes = Q4_0.bytes - 2;

function withoutLeast(blocks: Uint8Array): Uint8Array {
  const count = blocks.length / Q4_1.bytes;
  const centred = new Uint8Array(count * Q4_0.bytes);
  for (let block = 0; block < count; block++) {
    const [from, to] = [block * Q4_1.bytes, block * Q4_0.bytes];
    centred.set(blocks.subarray(from, from + 2), to);
    centred.set(blocks.subarray(from + 4, from + 4 + nibbleBytes), to + 2);
  }
  return centred;
}

/** Where the header says the tensor's type: behind its name, its rank and its lengths. The offset follows. */
function typePlace(header: Buffer, { name, shape }: GgufTensor): number {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(name)));
  const found = header.lastIndexOf(Buffer.concat([length, Buffer.from(name)]));
  if (found < 0) throw new Error(`the header does not name ${name}`);
  return found + 8 + Buffer.byteLength(name) + 4 + shape.length * 8;
}

/** @returns the copy in `folder`, written if it is not there */
export function centredCopy(file: string, folder: string): string {
  const copy = path.join(folder, path.basename(file).replace("Q4_1", "Q4_0"));
  if (existsSync(copy)) return copy;
  const bytes = readFileSync(file);
  const read = (offset: number, length: number) => bytes.subarray(offset, offset + length);
  const { tensors } = readGgufHeader(read, bytes.length);
  const dataStart = tensors[0]?.offset ?? bytes.length;
  const header = Buffer.from(bytes.subarray(0, dataStart));
  const parts: Uint8Array[] = [header];
  let end = 0;
  for (const tensor of tensors) {
    const stored = read(tensor.offset, tensor.byteLength);
    const isShifted = tensor.type === "Q4_1";
    const data = isShifted ? withoutLeast(stored) : stored;
    const place = typePlace(header, tensor);
    if (isShifted) header.writeUInt32LE(Q4_0.code, place);
    header.writeBigUInt64LE(BigInt(end), place + 4);
    const padding = new Uint8Array((alignment - (data.length % alignment)) % alignment);
    parts.push(data, padding);
    end += data.length + padding.length;
  }
  mkdirSync(folder, { recursive: true });
  writeFileSync(copy, Buffer.concat(parts));
  return copy;
}
