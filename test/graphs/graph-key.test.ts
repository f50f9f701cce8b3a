/** Names under which graphs and answers were kept by earlier releases: other ones would leave what is there behind. */
import { describe, expect, it } from "vitest";
import { digestIn, graphKey } from "../../gpu-worker/graphs/graph-key.ts";

const files = { format: "safetensors" as const, weights: "0".repeat(64), files: "f".repeat(64) };

describe("the names of a graph", () => {
  it.each([
    {
      form: { form: "f32", saturates: false },
      provider: "cpu",
      digest: "a9479e31483589f75a60cdb6f50cb118f94dfe868ff08e1e464f8521c847ad48",
      key: "a9479e31483589f75a60cdb6f50cb118-f32-cpu-9",
    },
    {
      form: { form: "int8", saturates: true },
      provider: "cpu",
      digest: "8b9182dc5fe83e1370ad4996c88a73ddd4440263ac051f7b3fb1f7af87380908",
      key: "8b9182dc5fe83e1370ad4996c88a73dd-int8-shifted-cpu-9",
    },
    {
      form: { form: "f16", saturates: false },
      provider: "cuda",
      digest: "0ac02a9fd1043e9ccada75421b50c8755450347ed215942341d854fb9942e536",
      key: "0ac02a9fd1043e9ccada75421b50c875-f16-cuda-9",
    },
  ] as const)("stay while the builder does: $key", ({ form, provider, digest, key }) => {
    expect(digestIn(form, files, provider)).toBe(digest);
    expect(graphKey(form, digest, provider)).toBe(key);
  });

  it("are one digest whether weights are shifted or not, and one in all forms of a ready-made file", () => {
    const shifted = digestIn({ form: "int8", saturates: true }, files, "cpu");
    expect(digestIn({ form: "int8", saturates: false }, files, "cpu")).toBe(shifted);
    const onnx = { ...files, format: "onnx" as const };
    const [f32, int8] = (["f32", "int8"] as const).map((form) =>
      digestIn({ form, saturates: false }, onnx, "cpu"),
    );
    expect(f32).toBe(int8);
  });
});
