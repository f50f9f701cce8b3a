import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { float32ToBfloat16, float32ToFloat16 } from "../../gpu-worker/tensor/float16.ts";
import {
  dequantiseRows,
  joinRows,
  quantiseRows,
  remainderOf,
} from "../../gpu-worker/weights/int8-rows.ts";
import { readFloat32, readInt8Rows } from "../../gpu-worker/weights/read-float32.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { writeSafetensors } from "../../gpu-worker/weights/safetensors-writer.ts";
import type { TensorToWrite } from "../../gpu-worker/weights/safetensors-writer.ts";
import { numbers } from "../onnx/run-graph.ts";

describe("int8 rows", () => {
  it.each([127, 63])("differ from the matrix by at most half a step, within ±%i", (limit) => {
    const columns = 37;
    const matrix = numbers(columns * 50).map((value, at) => value * 10 ** ((at / columns) % 5));
    const rows = quantiseRows(matrix, columns, { limit });
    const back = dequantiseRows(rows);
    for (const [at, value] of matrix.entries()) {
      const step = rows.scales[Math.floor(at / columns)] ?? 0;
      expect(Math.abs((back[at] ?? 0) - value)).toBeLessThanOrEqual(step * 0.5 * (1 + 1e-6));
      expect(Math.abs(rows.values[at] ?? 0)).toBeLessThanOrEqual(limit);
    }
  });

  it("reach the limit in each row, and are zero in a row of zeros", () => {
    const rows = quantiseRows(Float32Array.of(1, -2, 0, 0, -0.5, 0.25), 2);
    expect([...rows.values]).toEqual([64, -127, 0, 0, -127, 64]);
    expect(rows.scales[1]).toBe(0);
    expect([...dequantiseRows(rows)].slice(2, 4)).toEqual([0, 0]);
  });

  it("have 16 bits with what they leave, joined below them", () => {
    const [columns, first] = [37, 20];
    const matrix = numbers(columns * 50);
    const rounded = quantiseRows(matrix, columns);
    const rest = quantiseRows(remainderOf(matrix, rounded, first), columns);
    const all = joinRows(rounded, rest);
    expect([all.rows, all.columns, rest.rows]).toEqual([80, columns, 30]);
    const back = dequantiseRows(all);
    for (let at = first * columns; at < matrix.length; at += 1) {
      const step = (rounded.scales[Math.floor(at / columns)] ?? 0) / 254;
      const both = (back[at] ?? NaN) + (back[at + 30 * columns] ?? NaN);
      expect(Math.abs(both - (matrix[at] ?? NaN))).toBeLessThan(step * 0.51);
    }
  });

  it("round ties to even", () => {
    const rows = quantiseRows(Float32Array.of(127, 0.5, 1.5, -0.5, -1.5, 2.5), 6);
    expect([...rows.values]).toEqual([127, 0, 2, 0, -2, 2]);
  });
});

describe("reading as float32", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "read-float32-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  async function sourceOf(...tensors: TensorToWrite[]) {
    const file = path.join(folder, "weights");
    await writeSafetensors(file, tensors);
    return openSafetensors(file);
  }

  const exact = Float32Array.of(1, -0.5, 0.25, 3);
  const shape = [2, 2];

  it("takes every stored form", async () => {
    const source = await sourceOf(
      { name: "f32", dtype: "float32", shape, load: () => exact },
      { name: "f16", dtype: "float16", shape, load: () => float32ToFloat16(exact) },
      { name: "bf16", dtype: "bfloat16", shape, load: () => float32ToBfloat16(exact) },
      { name: "f64", dtype: "float64", shape, load: () => Float64Array.from(exact) },
      { name: "i8", dtype: "int8", shape, load: () => Int8Array.of(4, -2, 1, 12) },
      { name: "i8.scale", dtype: "float32", shape: [2], load: () => Float32Array.of(0.25, 0.25) },
    );
    for (const name of ["f32", "f16", "bf16", "f64", "i8"]) {
      expect([...readFloat32(source, name)]).toEqual([...exact]);
    }
    expect(readInt8Rows(source, "i8")).toMatchObject({ rows: 2, columns: 2 });
    expect(readInt8Rows(source, "f32")).toBeNull();
    source.close();
  });

  it("refuses integers without scales, and scales that do not fit", async () => {
    const source = await sourceOf(
      { name: "lone", dtype: "int8", shape, load: () => new Int8Array(4) },
      { name: "odd", dtype: "int8", shape, load: () => new Int8Array(4) },
      { name: "odd.scale", dtype: "float32", shape: [3], load: () => new Float32Array(3) },
      { name: "flat", dtype: "int8", shape: [4], load: () => new Int8Array(4) },
      { name: "flat.scale", dtype: "float32", shape: [4], load: () => new Float32Array(4) },
    );
    expect(() => readFloat32(source, "lone")).toThrow(/int8, expected real numbers/);
    expect(() => readFloat32(source, "odd")).toThrow(/2 rows and 3 scales/);
    expect(() => readFloat32(source, "flat")).toThrow(/no matrix/);
    source.close();
  });
});
