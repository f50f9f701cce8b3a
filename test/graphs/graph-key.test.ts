/** Names under which graphs and answers were kept by earlier releases: other ones would leave what is there behind. */
import { describe, expect, it } from "vitest";
import { digestIn, graphKey } from "../../gpu-worker/graphs/graph-key.ts";

const files = { format: "safetensors" as const, weights: "0".repeat(64), files: "f".repeat(64) };

describe("the names of a graph", () => {
  it.each([
    {
      form: { form: "f32", saturates: false },
      provider: "cpu",
      digest: "5a027f2ad1486986df6fadea5e61cee38dceea31449831d01327aa4c0c707544",
      key: "5a027f2ad1486986df6fadea5e61cee3-f32-cpu-7",
    },
    {
      form: { form: "int8", saturates: true },
      provider: "cpu",
      digest: "82f2332ffac2fa6106a3d989ccbbed9ae58db04643ea89ee291da09759fa7895",
      key: "82f2332ffac2fa6106a3d989ccbbed9a-int8-shifted-cpu-7",
    },
    {
      form: { form: "f16", saturates: false },
      provider: "cuda",
      digest: "41449af6ac95b15f33954907d5e0e2c77ca1f7399dc9157580a9428aa89ffb9f",
      key: "41449af6ac95b15f33954907d5e0e2c7-f16-cuda-7",
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
