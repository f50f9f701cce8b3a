/**
 * Every family and head in mixed precision, as a GPU computes it, against the same graph in f32: by ONNX Runtime on the
 * CPU, which computes half-precision operators between casts. Matrices are rounded as on a GPU; sums are as exact as
 * the CPU's.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import type { ComputeForm, Head } from "../../gpu-worker/architectures/encoder-head.ts";
import { buildEncoder, headOfCheckpoint } from "../../gpu-worker/architectures/encoder.ts";
import { encodeModelProto } from "../../gpu-worker/onnx/encode-model-proto.ts";
import type { Graph } from "../../gpu-worker/onnx/graph.ts";
import { verifyGraph } from "../../gpu-worker/onnx/verify-graph.ts";
import { int64 } from "../../gpu-worker/tensor/tensor.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { runModel } from "../onnx/run-graph.ts";

const checkpoints = path.join(import.meta.dirname, "checkpoints");
const names = readdirSync(checkpoints, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);
const embedded = path.resolve(
  import.meta.dirname,
  "../../gpu-worker/catalog/embedded/all-MiniLM-L6-v2",
);

const Rows = z.array(z.array(z.int()));
const Inputs = z.object({
  input_ids: Rows,
  attention_mask: Rows,
  token_type_ids: Rows.optional(),
});

function readJson(folder: string, file: string): unknown {
  return JSON.parse(readFileSync(path.join(folder, file), "utf8"));
}

type Built = { graph: Graph; bytes: Uint8Array };

function build(folder: string, form: ComputeForm, head?: Head, scoreBytes?: number): Built {
  const weights = openSafetensors(path.join(folder, "model.safetensors"));
  try {
    const config = readJson(folder, "config.json");
    const wanted = head ?? headOfCheckpoint(config);
    const turns = scoreBytes === undefined ? {} : { scoreBytes };
    const graph = buildEncoder(config, weights, { head: wanted, form, packed: true, ...turns });
    verifyGraph(graph);
    return { graph, bytes: encodeModelProto(graph) };
  } finally {
    weights.close();
  }
}

function feedsOf({
  input_ids: ids,
  attention_mask: mask,
  token_type_ids: types,
}: z.infer<typeof Inputs>) {
  const shape = [ids.length, ids[0]?.length ?? 0];
  const grid = (rows: number[][]) => int64(shape, rows.flat());
  const zeros = ids.map((row) => row.map(() => 0));
  return {
    input_ids: grid(ids),
    attention_mask: grid(mask),
    token_type_ids: grid(types ?? zeros),
    positions: int64([1], [1]),
  };
}

/** Of the difference, against the length of the exact numbers. */
async function relativeDistance(half: Built, full: Built, inputs: z.infer<typeof Inputs>) {
  const feeds = feedsOf(inputs);
  const [a, b] = [await runModel(half.bytes, feeds), await runModel(full.bytes, feeds)];
  const distances = Object.entries(b).map(([name, { data, dtype }]) => {
    expect(dtype).toBe("float32");
    expect(a[name]?.dtype).toBe("float32");
    const gap = Math.hypot(...data.map((value, at) => value - (a[name]?.data[at] ?? NaN)));
    return gap / Math.hypot(...data);
  });
  return Math.max(...distances);
}

const dtypesOf = (graph: Graph, operators: readonly string[]) => {
  const types = verifyGraph(graph);
  const found = graph.nodes.filter(({ operator }) => operators.includes(operator));
  return new Set(found.map(({ outputs }) => types.get(outputs[0] ?? "")?.dtype));
};

describe("mixed precision", () => {
  it.each(names)("%s answers as it does in f32, rounded to half precision", async (name) => {
    const folder = path.join(checkpoints, name);
    const inputs = Inputs.parse(readJson(folder, "expected.json"));
    for (const head of [undefined, { name: "none" } as const]) {
      const distance = await relativeDistance(
        build(folder, "f16", head),
        build(folder, "f32", head),
        inputs,
      );
      // 11 bits are 5e-4 of a number. Not zero: else nothing was rounded.
      expect(distance).toBeLessThan(4e-3);
      expect(distance).toBeGreaterThan(0);
    }
  });

  it.each(names)(
    "%s answers so where its queries would take turns, which they take in f32 alone",
    async (name) => {
      const folder = path.join(checkpoints, name);
      const inputs = Inputs.parse(readJson(folder, "expected.json"));
      const half = build(folder, "f16", { name: "none" }, 1);
      const distance = await relativeDistance(half, build(folder, "f32", { name: "none" }), inputs);
      expect(distance).toBeLessThan(4e-3);
      expect(distance).toBeGreaterThan(0);
    },
  );

  it.each(names)("%s has its products in f16, its norms and softmax in f32", (name) => {
    const { graph } = build(path.join(checkpoints, name), "f16");
    expect(dtypesOf(graph, ["MatMul", "Gemm", "Conv"])).toEqual(new Set(["float16"]));
    expect(dtypesOf(graph, ["Softmax", "LayerNormalization"])).toEqual(new Set(["float32"]));
    const matrices = graph.initializers.filter(
      ({ dtype, shape }) => dtype === "float32" && shape.length === 2 && shape[1] !== 1,
    );
    expect(
      matrices.filter(({ name: matrix }) => !/rel_embeddings|types?_embeddings/.test(matrix)),
    ).toEqual([]);
  });

  it.skipIf(!existsSync(path.join(embedded, "model.safetensors")))(
    "the embedded model answers as it does in f32, in half the size of its matrices",
    async () => {
      const head = { name: "sentence", pooling: "mean", normalize: true } as const;
      const [half, full] = [build(embedded, "f16", head), build(embedded, "f32", head)];
      const ids = [
        [101, 7592, 2088, 102, 0, 0],
        [101, 1996, 4248, 2829, 4419, 102],
      ];
      const attention_mask = ids.map((row) => row.map((id) => Math.min(1, id)));
      expect(await relativeDistance(half, full, { input_ids: ids, attention_mask })).toBeLessThan(
        2e-3,
      );
      // The table of words stays int8 in both.
      expect(half.bytes.length).toBeLessThan(0.67 * full.bytes.length);
    },
  );
});
