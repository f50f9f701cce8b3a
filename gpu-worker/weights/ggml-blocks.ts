/**
 * The types that ggml stores tensors in: how many elements share a block, how many bytes it takes, and how it is turned
 * into float32. A row of a matrix is a whole number of blocks, and a block never spans two rows. Layouts are those of
 * ggml-common.h, and the arithmetic that of `dequantize_row_*` in ggml-quants.c, to the bit
 * (https://github.com/ggml-org/llama.cpp/tree/master/ggml/src). Types with blocks of 256 are in ggml-k-blocks.ts.
 */
import { bfloat16ToFloat32, float16ToFloat32, halfValues } from "../tensor/float16.ts";
import type { Shape } from "../tensor/shape.ts";
import { arrayFromBytes } from "../tensor/tensor.ts";
import { dequantiseQ4K, dequantiseQ6K } from "./ggml-k-blocks.ts";

/** `bytes` are whole blocks, `values` as many elements as they hold. */
export type Dequantise = (bytes: Uint8Array, values: Float32Array) => void;

const blockElements = 32;
/** Elements 0 … 15 lie in the lower halves of 16 bytes, 16 … 31 in the upper. */
const half = blockElements / 2;

/** scale f16, 16 bytes: (q − 8) · scale */
const dequantiseQ40: Dequantise = (bytes, values) => {
  const table = halfValues();
  const halves = arrayFromBytes("uint16", bytes);
  for (let block = 0; block * blockElements < values.length; block++) {
    const scale = table[halves[block * 9] ?? 0] ?? 0;
    const from = block * 18 + 2;
    const to = block * blockElements;
    for (let at = 0; at < half; at++) {
      const pair = bytes[from + at] ?? 0;
      values[to + at] = ((pair & 15) - 8) * scale;
      values[to + half + at] = ((pair >> 4) - 8) * scale;
    }
  }
};

/** scale f16, least f16, 16 bytes: q · scale + least */
const dequantiseQ41: Dequantise = (bytes, values) => {
  const table = halfValues();
  const halves = arrayFromBytes("uint16", bytes);
  for (let block = 0; block * blockElements < values.length; block++) {
    const scale = table[halves[block * 10] ?? 0] ?? 0;
    const least = table[halves[block * 10 + 1] ?? 0] ?? 0;
    const from = block * 20 + 4;
    const to = block * blockElements;
    for (let at = 0; at < half; at++) {
      const pair = bytes[from + at] ?? 0;
      values[to + at] = (pair & 15) * scale + least;
      values[to + half + at] = (pair >> 4) * scale + least;
    }
  }
};

/** scale f16, the fifth bits of all 32 elements, 16 bytes of the lower four: (q − 16) · scale */
const dequantiseQ50: Dequantise = (bytes, values) => {
  const table = halfValues();
  const halves = arrayFromBytes("uint16", bytes);
  for (let block = 0; block * blockElements < values.length; block++) {
    const scale = table[halves[block * 11] ?? 0] ?? 0;
    const lowFifths = halves[block * 11 + 1] ?? 0;
    const highFifths = halves[block * 11 + 2] ?? 0;
    const from = block * 22 + 6;
    const to = block * blockElements;
    for (let at = 0; at < half; at++) {
      const pair = bytes[from + at] ?? 0;
      const low = (pair & 15) | (((lowFifths >> at) & 1) << 4);
      const high = (pair >> 4) | (((highFifths >> at) & 1) << 4);
      values[to + at] = (low - 16) * scale;
      values[to + half + at] = (high - 16) * scale;
    }
  }
};

/** scale f16, least f16, the fifth bits of all 32 elements, 16 bytes of the lower four: q · scale + least */
const dequantiseQ51: Dequantise = (bytes, values) => {
  const table = halfValues();
  const halves = arrayFromBytes("uint16", bytes);
  for (let block = 0; block * blockElements < values.length; block++) {
    const scale = table[halves[block * 12] ?? 0] ?? 0;
    const least = table[halves[block * 12 + 1] ?? 0] ?? 0;
    const lowFifths = halves[block * 12 + 2] ?? 0;
    const highFifths = halves[block * 12 + 3] ?? 0;
    const from = block * 24 + 8;
    const to = block * blockElements;
    for (let at = 0; at < half; at++) {
      const pair = bytes[from + at] ?? 0;
      const low = (pair & 15) | (((lowFifths >> at) & 1) << 4);
      const high = (pair >> 4) | (((highFifths >> at) & 1) << 4);
      values[to + at] = low * scale + least;
      values[to + half + at] = high * scale + least;
    }
  }
};

/** scale f16, 32 signed bytes: q · scale */
const dequantiseQ80: Dequantise = (bytes, values) => {
  const table = halfValues();
  const halves = arrayFromBytes("uint16", bytes);
  const steps = arrayFromBytes("int8", bytes);
  for (let block = 0; block * blockElements < values.length; block++) {
    const scale = table[halves[block * 17] ?? 0] ?? 0;
    const from = block * 34 + 2;
    const to = block * blockElements;
    for (let at = 0; at < blockElements; at++) {
      values[to + at] = (steps[from + at] ?? 0) * scale;
    }
  }
};

const readF32: Dequantise = (bytes, values) => values.set(arrayFromBytes("float32", bytes));
const readF16: Dequantise = (bytes, values) =>
  values.set(float16ToFloat32(arrayFromBytes("float16", bytes)));
const readBf16: Dequantise = (bytes, values) =>
  values.set(bfloat16ToFloat32(arrayFromBytes("bfloat16", bytes)));

type BlockLayout = {
  /** As files number the types: `ggml_type` in ggml.h. */
  readonly code: number;
  /** Of a block. */
  readonly elements: number;
  readonly bytes: number;
  readonly dequantise: Dequantise;
};

export const ggmlTypes = {
  F32: { code: 0, elements: 1, bytes: 4, dequantise: readF32 },
  F16: { code: 1, elements: 1, bytes: 2, dequantise: readF16 },
  Q4_0: { code: 2, elements: 32, bytes: 18, dequantise: dequantiseQ40 },
  Q4_1: { code: 3, elements: 32, bytes: 20, dequantise: dequantiseQ41 },
  Q5_0: { code: 6, elements: 32, bytes: 22, dequantise: dequantiseQ50 },
  Q5_1: { code: 7, elements: 32, bytes: 24, dequantise: dequantiseQ51 },
  Q8_0: { code: 8, elements: 32, bytes: 34, dequantise: dequantiseQ80 },
  Q4_K: { code: 12, elements: 256, bytes: 144, dequantise: dequantiseQ4K },
  Q6_K: { code: 14, elements: 256, bytes: 210, dequantise: dequantiseQ6K },
  BF16: { code: 30, elements: 1, bytes: 2, dequantise: readBf16 },
} as const satisfies Record<string, BlockLayout>;

export type GgmlType = keyof typeof ggmlTypes;

/** A tensor as it is stored: row by row, each a whole number of blocks. */
export type GgmlBlocks = {
  readonly type: GgmlType;
  /** Of the elements, rows first. */
  readonly shape: Shape;
  readonly bytes: Uint8Array;
};

export function dequantise({ type, bytes }: GgmlBlocks): Float32Array {
  const layout = ggmlTypes[type];
  const values = new Float32Array((bytes.length / layout.bytes) * layout.elements);
  layout.dequantise(bytes, values);
  return values;
}
