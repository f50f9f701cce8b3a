/**
 * Matrices in blocks of 32 neighbours of a row, each block with a scale of its own: (step − middle) · scale, in 8 bits
 * or 4. So MatMulNBits and GatherBlockQuantized of ONNX Runtime take them; where a block does not say otherwise, its
 * middle is 128, or 8. The last block of a row is filled up with zeros.
 */
import { halfValues } from "../tensor/float16.ts";
import { arrayFromBytes } from "../tensor/tensor.ts";
import { ggmlTypes } from "./ggml-blocks.ts";
import type { GgmlBlocks, GgmlType } from "./ggml-blocks.ts";

export const blockElements = 32;
const byteMiddle = 128;
/** As far from the middle on either side. */
const levelMax = 127;

export function blocksPerRow(columns: number): number {
  return Math.ceil(columns / blockElements);
}

/** The end of the block from `at` on, in a row-major matrix. */
function blockEnd(at: number, columns: number): number {
  return Math.min(at + blockElements, at - (at % columns) + columns);
}

/** 0 for a block of zeros. */
function blockScale(matrix: Float32Array, from: number, to: number): number {
  let largest = 0;
  for (let at = from; at < to; at++) largest = Math.max(largest, Math.abs(matrix[at] ?? 0));
  return Math.fround(largest / levelMax);
}

/** [rows, blocks]: the largest element of a block is 127 steps from the middle. */
export function scalesOf(matrix: Float32Array, columns: number): Float32Array {
  const blocks = blocksPerRow(columns);
  const scales = new Float32Array((matrix.length / columns) * blocks);
  let from = 0;
  for (let block = 0; block < scales.length; block++) {
    const to = blockEnd(from, columns);
    scales[block] = blockScale(matrix, from, to);
    from = to;
  }
  return scales;
}

/**
 * 8-bit steps [rows, blocks · 32], of which a row's last may be filling. A matrix that was stored as Q8_0 comes out as
 * it was.
 */
export function stepsOf(matrix: Float32Array, columns: number): Uint8Array {
  const blocks = (matrix.length / columns) * blocksPerRow(columns);
  const steps = new Uint8Array(blocks * blockElements).fill(byteMiddle);
  let from = 0;
  for (let block = 0; block < blocks; block++) {
    const to = blockEnd(from, columns);
    const scale = blockScale(matrix, from, to);
    const shift = block * blockElements - from;
    if (scale > 0) {
      for (let at = from; at < to; at++) {
        // Above 0: what is cut off rounds to the nearest.
        steps[shift + at] = (matrix[at] ?? 0) / scale + byteMiddle + 0.5;
      }
    }
    from = to;
  }
  return steps;
}

/** What 4-bit blocks of a GGUF file hold: element = (nibble − 8) · scale + shift. */
export type NibbleBlocks = {
  /** [rows, blocks, 16]: two neighbours a byte, the first in the lower half. */
  readonly nibbles: Uint8Array;
  /** [rows, blocks]. */
  readonly scales: Float32Array;
  /** [rows, blocks]: 0 in Q4_0. */
  readonly shifts: Float32Array;
};

const nibbleTypes = ["Q4_0", "Q4_1"] as const;
/** Of Q4_0 and Q4_1: 32 elements in 4 bits. */
const nibbleBytes = blockElements / 2;
const nibbleMiddle = 8;

export function hasNibbles(type: GgmlType): boolean {
  return nibbleTypes.some((each) => each === type);
}

/** Two neighbours of the block at `start`, whose first half lies in the lower halves of its bytes. */
function neighbours(bytes: Uint8Array, start: number, pair: number): number {
  const column = (2 * pair) % nibbleBytes;
  const [first, second] = [bytes[start + column] ?? 0, bytes[start + column + 1] ?? 0];
  const isLower = 2 * pair < nibbleBytes;
  return isLower ? (first & 15) | ((second & 15) << 4) : (first >> 4) | (second & 0xf0);
}

/** The same matrix, exactly. @param blocks of a type that `hasNibbles` */
export function nibbleBlocksOf({ type, bytes }: GgmlBlocks): NibbleBlocks {
  const table = halfValues();
  const size = ggmlTypes[type].bytes;
  const count = bytes.length / size;
  const halves = arrayFromBytes("uint16", bytes);
  const half = (at: number) => table[halves[at] ?? 0] ?? 0;
  const nibbles = new Uint8Array(count * nibbleBytes);
  const scales = new Float32Array(count);
  const shifts = new Float32Array(count);
  for (let block = 0; block < count; block++) {
    const scale = half((block * size) / 2);
    scales[block] = scale;
    if (type === "Q4_1") shifts[block] = half((block * size) / 2 + 1) + nibbleMiddle * scale;
    const start = (block + 1) * size - nibbleBytes;
    for (let pair = 0; pair < nibbleBytes; pair++) {
      nibbles[block * nibbleBytes + pair] = neighbours(bytes, start, pair);
    }
  }
  return { nibbles, scales, shifts };
}

/** 8-bit blocks with middles of their own. */
export type MiddledBlocks = {
  /** [rows, blocks, 32]. */
  readonly steps: Uint8Array;
  /** [rows, blocks]. */
  readonly scales: Float32Array;
  /** [rows, blocks]. */
  readonly middles: Uint8Array;
};

/** Nibbles go from 0 to 15. */
const nibbleMax = 15;
const stepMax = 255;
/** Steps of 8 bits between two nibbles, at most. */
const finenessMax = stepMax / nibbleMax;

/** Steps between two nibbles, and how many of them 0 lies above nibble 0; null: 0 is not among the nibbles' values. */
function finestFit(scale: number, least: number): { fineness: number; middle: number } | null {
  const above = -least / scale;
  if (!(above >= 0 && above <= nibbleMax)) return null;
  let best = { fineness: 1, middle: Math.round(above), error: Infinity };
  for (let fineness = 1; fineness <= finenessMax; fineness++) {
    const middle = Math.round(above * fineness);
    const error = Math.abs(above - middle / fineness);
    if (error < best.error) best = { fineness, middle, error };
  }
  return best;
}

/**
 * The same matrix in 8 bits: with so many steps between two nibbles that a step falls on 0, by a 34th of a nibble at
 * most, and most often by less than a 500th.
 */
export function middledBlocksOf({ nibbles, scales, shifts }: NibbleBlocks): MiddledBlocks {
  const steps = new Uint8Array(nibbles.length * 2);
  const finer = new Float32Array(scales.length);
  const middles = new Uint8Array(scales.length).fill(byteMiddle);
  const values = new Float32Array(blockElements);
  for (let block = 0; block < scales.length; block++) {
    const [scale, shift] = [scales[block] ?? 0, shifts[block] ?? 0];
    const fit = finestFit(scale, shift - nibbleMiddle * scale);
    const from = block * blockElements;
    for (let at = 0; at < blockElements; at++) {
      const pair = nibbles[(from + at) >> 1] ?? 0;
      const nibble = at % 2 === 0 ? pair & 15 : pair >> 4;
      steps[from + at] = nibble * (fit?.fineness ?? 0);
      values[at] = (nibble - nibbleMiddle) * scale + shift;
    }
    if (fit === null) {
      finer[block] = blockScale(values, 0, blockElements);
      steps.set(stepsOf(values, blockElements), from);
    } else {
      finer[block] = scale / fit.fineness;
      middles[block] = fit.middle;
    }
  }
  return { steps, scales: finer, middles };
}
