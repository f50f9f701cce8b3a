/** Names under which graphs and answers were kept by earlier releases: other ones would leave what is there behind. */
import { describe, expect, it } from "vitest";
import { digestIn, graphKey } from "../../gpu-worker/graphs/graph-key.ts";

const files = { format: "safetensors" as const, weights: "0".repeat(64), files: "f".repeat(64) };

describe("the names of a graph", () => {
  it.each([
    {
      form: { form: "f32", saturates: false },
      provider: "cpu",
      digest: "698fa78297566eda9d0e5635ade649423a219fd2725d3daf91352b9501aa9ceb",
      key: "698fa78297566eda9d0e5635ade64942-f32-cpu-8",
    },
    {
      form: { form: "int8", saturates: true },
      provider: "cpu",
      digest: "756febd6c95901055b3df03f8af58aba94f062a8df4f5f983389cd561b9622cf",
      key: "756febd6c95901055b3df03f8af58aba-int8-shifted-cpu-8",
    },
    {
      form: { form: "f16", saturates: false },
      provider: "cuda",
      digest: "3e439b782d8a50c352e9dc3688c9d62b4f753fdb527d3346588f3a58ce3b23d1",
      key: "3e439b782d8a50c352e9dc3688c9d62b-f16-cuda-8",
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
