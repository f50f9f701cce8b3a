import { describe, expect, it } from "vitest";
import { bytesPerElement } from "../../gpu-worker/tensor/dtype.ts";
import { scalar } from "../../gpu-worker/tensor/scalar.ts";
import { broadcastShapes, elementCount, strides } from "../../gpu-worker/tensor/shape.ts";
import { arrayFromBytes, bytesOf, int64, tensor } from "../../gpu-worker/tensor/tensor.ts";

describe("shapes", () => {
  it("count elements and steps", () => {
    expect(elementCount([2, 3, 4])).toBe(24);
    expect(elementCount([])).toBe(1);
    expect(strides([2, 3, 4])).toEqual([12, 4, 1]);
  });

  // numpy's documentation, "Broadcasting", the table of examples.
  it.each([
    [[256, 256, 3], [3], [256, 256, 3]],
    [
      [8, 1, 6, 1],
      [7, 1, 5],
      [8, 7, 6, 5],
    ],
    [[5, 4], [1], [5, 4]],
    [
      [15, 3, 5],
      [15, 1, 5],
      [15, 3, 5],
    ],
    [
      [15, 3, 5],
      [3, 1],
      [15, 3, 5],
    ],
    [
      [0, 2],
      [1, 2],
      [0, 2],
    ],
  ])("broadcast %j and %j to %j", (a, b, both) => {
    expect(broadcastShapes(a, b)).toEqual(both);
    expect(broadcastShapes(b, a)).toEqual(both);
  });

  it.each([
    [[3], [4]],
    [
      [2, 1],
      [8, 4, 3],
    ],
  ])("refuse %j with %j", (a, b) => {
    expect(() => broadcastShapes([...a, 7], [...b, 5])).toThrow(/do not broadcast/);
  });
});

describe("tensors", () => {
  it("refuse elements that do not fill the shape", () => {
    expect(() => tensor("float32", [2, 2], new Float32Array(3))).toThrow(/do not fill/);
  });

  it("take ids as numbers or big integers", () => {
    expect(int64([2], [1, 2n]).data).toEqual(BigInt64Array.of(1n, 2n));
  });

  it("are read from bytes at any offset", () => {
    const bytes = new Uint8Array(13);
    bytes.set(bytesOf(Float32Array.of(1.5, -2)), 1);
    expect([...arrayFromBytes("float32", bytes.subarray(1, 9))]).toEqual([1.5, -2]);
    expect(() => arrayFromBytes("float32", bytes.subarray(1, 8))).toThrow(/whole number/);
  });

  it.each(["float32", "float16", "int64", "uint8", "bool"] as const)(
    "hold one %s without axes",
    (dtype) => {
      const one = scalar(dtype, 1);
      expect(one).toMatchObject({ dtype, shape: [] });
      expect(one.data.byteLength).toBe(bytesPerElement(dtype));
    },
  );
});
