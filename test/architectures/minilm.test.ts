/** all-MiniLM-L6-v2 against PyTorch's vectors, in every form a machine may compute in. */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { readChannelRanges } from "../../gpu-worker/architectures/channel-ranges.ts";
import { madeUpInputs } from "./made-up-inputs.ts";
import type { ChannelRanges } from "../../gpu-worker/architectures/channel-ranges.ts";
import { buildEncoder, buildRangesEncoder } from "../../gpu-worker/architectures/encoder.ts";
import type { EncoderOptions } from "../../gpu-worker/architectures/encoder-head.ts";
import { encodeModelProto } from "../../gpu-worker/onnx/encode-model-proto.ts";
import { float32, int64 } from "../../gpu-worker/tensor/tensor.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import type { WeightSource } from "../../gpu-worker/weights/weight-source.ts";
import { runGraph, runModel } from "../onnx/run-graph.ts";
import { machineSaturates } from "./machine-saturates.ts";

const root = path.resolve(import.meta.dirname, "../..");
const models = path.resolve(root, "../shared/models");
const embedded = path.join(root, "gpu-worker/catalog/embedded/all-MiniLM-L6-v2");
const here = existsSync(path.join(models, "references"));
if (!here) console.info("Skipped: tests against ../shared/models, which is not on this machine");

const head = { name: "sentence", pooling: "mean", normalize: true } as const;

type Reference = { input_ids: number[]; embedding: number[] };
const references: Reference[] = here
  ? JSON.parse(readFileSync(path.join(models, "references/minilm-embeddings.json"), "utf8"))
  : [];

function feedsOf(batch: readonly Reference[]) {
  const longest = Math.max(...batch.map(({ input_ids: ids }) => ids.length));
  const shape = [batch.length, longest];
  const padded = (row: readonly number[]) => [...row, ...Array(longest - row.length).fill(0)];
  return {
    input_ids: int64(
      shape,
      batch.flatMap(({ input_ids: ids }) => padded(ids)),
    ),
    attention_mask: int64(
      shape,
      batch.flatMap(({ input_ids: ids }) => padded(ids.map(() => 1))),
    ),
    token_type_ids: int64(shape, Array(batch.length * longest).fill(0)),
  };
}

async function cosines(model: Uint8Array): Promise<number[]> {
  const all: number[] = [];
  for (let at = 0; at < references.length; at += 6) {
    const batch = references.slice(at, at + 6);
    const { sentence_embedding: vectors } = await runModel(model, feedsOf(batch));
    for (const [row, { embedding }] of batch.entries()) {
      const vector = vectors?.data.slice(row * embedding.length) ?? [];
      all.push(embedding.reduce((sum, value, i) => sum + value * (vector[i] ?? NaN), 0));
    }
  }
  return all;
}

async function rangesOf(config: unknown, weights: WeightSource): Promise<ChannelRanges> {
  const graph = buildRangesEncoder(config, weights);
  const results = await runGraph(graph, madeUpInputs(graph.inputs, 30_522, 512));
  const tensors = Object.entries(results).map(
    ([name, { shape, data }]) => [name, float32(shape, data)] as const,
  );
  return readChannelRanges(Object.fromEntries(tensors));
}

async function compile(folder: string, options: Omit<EncoderOptions, "head">): Promise<Uint8Array> {
  const config: unknown = JSON.parse(readFileSync(path.join(folder, "config.json"), "utf8"));
  const weights = openSafetensors(path.join(folder, "model.safetensors"));
  try {
    const ranges = options.form === "int8" ? await rangesOf(config, weights) : null;
    return encodeModelProto(
      buildEncoder(config, weights, { head, ranges, packed: true, ...options }),
    );
  } finally {
    weights.close();
  }
}

const saturates = await machineSaturates();
const upstream = path.join(models, "all-MiniLM-L6-v2");

type Case = {
  file: string;
  folder: string;
  form: "f32" | "int8";
  shifted: boolean;
  mean: number;
  least: number;
};
const cases: Case[] = [
  {
    file: "upstream's file",
    folder: upstream,
    form: "f32",
    shifted: false,
    mean: 0.999_99,
    least: 0.999_9,
  },
  {
    file: "the embedded file",
    folder: embedded,
    form: "f32",
    shifted: false,
    mean: 0.999,
    least: 0.995,
  },
  {
    file: "upstream's file",
    folder: upstream,
    form: "int8",
    shifted: saturates,
    mean: 0.995,
    least: 0.98,
  },
  {
    file: "the embedded file",
    folder: embedded,
    form: "int8",
    shifted: false,
    mean: 0.995,
    least: 0.98,
  },
  {
    file: "the embedded file",
    folder: embedded,
    form: "int8",
    shifted: true,
    mean: 0.995,
    least: 0.98,
  },
];

describe.skipIf(!here)("cosine to PyTorch's vectors", () => {
  const possible = cases.filter(({ form, shifted }) => form === "f32" || shifted || !saturates);
  it.each(possible)("$file in $form, weights shifted: $shifted", async (each) => {
    const { folder, form, shifted, mean, least } = each;
    const found = await cosines(await compile(folder, { form, saturates: shifted }));
    expect(found).toHaveLength(24);
    expect(Math.min(...found)).toBeGreaterThanOrEqual(least);
    expect(found.reduce((a, b) => a + b, 0) / found.length).toBeGreaterThanOrEqual(mean);
  });
});
