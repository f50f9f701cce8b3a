import { describe, expect, it } from "vitest";
import {
  bfloat16ToFloat32,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
} from "../../gpu-worker/tensor/float16.ts";

/** Wikipedia, "Half-precision floating-point format", examples. */
const halves: readonly (readonly [number, number])[] = [
  [0x0000, 0],
  [0x0001, 0.000000059604645],
  [0x03ff, 0.000060975552],
  [0x0400, 0.00006103515625],
  [0x3555, 0.33325195],
  [0x3bff, 0.99951172],
  [0x3c00, 1],
  [0x3c01, 1.00097656],
  [0x7bff, 65_504],
  [0x7c00, Infinity],
  [0xc000, -2],
  [0xfc00, -Infinity],
];

/** 20 000 numbers over the whole range, by a fixed sequence. */
function spread(): Float32Array {
  let state = 7;
  return Float32Array.from({ length: 20_000 }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const sign = state & 1 ? -1 : 1;
    return sign * (1 + ((state >>> 9) & 0xffff) / 0x10000) * 2 ** (((state >>> 1) % 46) - 28);
  });
}

describe("half precision", () => {
  it("reads the published examples", () => {
    const read = float16ToFloat32(Uint16Array.from(halves, ([bits]) => bits));
    for (const [index, [, value]] of halves.entries()) expect(read[index]).toBeCloseTo(value, 8);
  });

  it("gives back every bit pattern that is a number", () => {
    const numbers = Uint16Array.from({ length: 65_536 }, (_, bits) => bits).filter(
      (bits) => (bits & 0x7fff) <= 0x7c00,
    );
    expect(float32ToFloat16(float16ToFloat32(numbers))).toEqual(numbers);
  });

  it("keeps what is not a number", () => {
    expect(float16ToFloat32(float32ToFloat16(Float32Array.of(NaN)))[0]).toBeNaN();
  });

  it("rounds to the nearest, ties to even", () => {
    const values = spread();
    const bits = float32ToFloat16(values);
    const near = float16ToFloat32(bits);
    const up = float16ToFloat32(bits.map((pattern) => pattern + 1));
    const down = float16ToFloat32(bits.map((pattern) => Math.max(0, pattern - 1)));
    for (const [index, value] of values.entries()) {
      if (Math.abs(value) >= 65_504 || (bits[index] ?? 0) % 0x8000 === 0) continue;
      const error = Math.abs((near[index] ?? 0) - value);
      const others = [up[index] ?? 0, down[index] ?? 0].map((other) => Math.abs(other - value));
      const least = Math.min(...others);
      expect(error <= least).toBe(true);
      if (error === least) expect((bits[index] ?? 0) % 2).toBe(0);
    }
  });

  it("makes too large numbers infinite and too small ones zero", () => {
    const bits = float32ToFloat16(Float32Array.of(65_519.9, 65_520, -1e6, 2 ** -26, -(2 ** -30)));
    expect([...bits]).toEqual([0x7bff, 0x7c00, 0xfc00, 0, 0x8000]);
  });
});

describe("bfloat16", () => {
  it("is the upper half of a float32, rounded to nearest, ties to even", () => {
    const values = Float32Array.of(1, -2.5, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -16);
    expect([...float32ToBfloat16(values)]).toEqual([0x3f80, 0xc020, 0x3f80, 0x3f82, 0x3f81]);
  });

  it("gives back every bit pattern that is a number", () => {
    const numbers = Uint16Array.from({ length: 65_536 }, (_, bits) => bits).filter(
      (bits) => (bits & 0x7fff) <= 0x7f80,
    );
    expect(float32ToBfloat16(bfloat16ToFloat32(numbers))).toEqual(numbers);
  });

  it("keeps what is not a number", () => {
    expect(bfloat16ToFloat32(float32ToBfloat16(Float32Array.of(NaN)))[0]).toBeNaN();
  });
});
