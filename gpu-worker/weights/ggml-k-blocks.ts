/**
 * ggml's blocks of 256 elements, whose scales are themselves quantised: `block_q4_K` and `block_q6_K` of ggml-common.h,
 * turned into float32 as `dequantize_row_q4_K` and `dequantize_row_q6_K` of ggml-quants.c do.
 */
import { halfValues } from "../tensor/float16.ts";
import { arrayFromBytes } from "../tensor/tensor.ts";

const blockElements = 256;

/**
 * scale f16, scale of the least f16, 12 bytes with six bits each of 8 scales and 8 leasts, 128 bytes: for each 64
 * elements 32 bytes, the first 32 elements in their lower halves: q · scale · s − scale of the least · m
 */
export function dequantiseQ4K(bytes: Uint8Array, values: Float32Array): void {
  const table = halfValues();
  const halves = arrayFromBytes("uint16", bytes);
  for (let block = 0; block * blockElements < values.length; block++) {
    const scale = table[halves[block * 72] ?? 0] ?? 0;
    const leastScale = table[halves[block * 72 + 1] ?? 0] ?? 0;
    const sixBits = block * 144 + 4;
    const steps = sixBits + 12;
    for (let part = 0; part < 8; part++) {
      const [s, m] = sixBitPair(bytes, sixBits, part);
      const partScale = scale * s;
      const least = leastScale * m;
      const from = steps + (part >> 1) * 32;
      const shift = (part & 1) * 4;
      const to = block * blockElements + part * 32;
      for (let at = 0; at < 32; at++) {
        values[to + at] = (((bytes[from + at] ?? 0) >> shift) & 15) * partScale - least;
      }
    }
  }
}

/** `get_scale_min_k4`: the first four of each are whole, of the others the upper two bits are above those. */
function sixBitPair(bytes: Uint8Array, from: number, part: number): readonly [number, number] {
  const at = from + part;
  if (part < 4) return [(bytes[at] ?? 0) & 63, (bytes[at + 4] ?? 0) & 63];
  const lower = bytes[at + 4] ?? 0;
  const s = (lower & 15) | (((bytes[at - 4] ?? 0) >> 6) << 4);
  const m = (lower >> 4) | (((bytes[at] ?? 0) >> 6) << 4);
  return [s, m];
}

/**
 * 128 bytes of the lower four bits, 64 of the upper two, a signed scale for each 16 elements, scale f16:
 * (q − 32) · scale · s. Of each 128 elements, number 32 · k + at has its lower bits in byte at + 32 · (k mod 2),
 * in the lower half for k < 2, and its upper bits in pair k of byte at.
 */
export function dequantiseQ6K(bytes: Uint8Array, values: Float32Array): void {
  const table = halfValues();
  const halves = arrayFromBytes("uint16", bytes);
  const signed = arrayFromBytes("int8", bytes);
  for (let part = 0; part * 32 < values.length; part++) {
    const block = part >> 3;
    const start = block * 210;
    const scale = table[halves[block * 105 + 104] ?? 0] ?? 0;
    const k = part & 3;
    const second = (part >> 2) & 1;
    const low = start + second * 64 + (k & 1) * 32;
    const lowShift = (k >> 1) * 4;
    const high = start + 128 + second * 32;
    const highShift = k * 2;
    const firstScale = scale * (signed[start + 192 + (part & 7) * 2] ?? 0);
    const secondScale = scale * (signed[start + 193 + (part & 7) * 2] ?? 0);
    const to = part * 32;
    for (let at = 0; at < 32; at++) {
      const lower = ((bytes[low + at] ?? 0) >> lowShift) & 15;
      const upper = ((bytes[high + at] ?? 0) >> highShift) & 3;
      values[to + at] = ((lower | (upper << 4)) - 32) * (at < 16 ? firstScale : secondScale);
    }
  }
}
