/**
 * Checkpoints of every family, head and odd config, against what transformers computed for them (checkpoints/
 * make_checkpoints.py): as `npm run model -- verify` compares, packed as the worker serves them, and in int8.
 */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import type { EncoderOptions, Head } from "../../gpu-worker/architectures/encoder-head.ts";
import { buildEncoder, encoderFamilies } from "../../gpu-worker/architectures/encoder.ts";
import { buildWholeEncoder, headOfCheckpoint } from "../../gpu-worker/architectures/encoder.ts";
import { verifyModel } from "../../gpu-worker/cli/verify-model.ts";
import { encodeModelProto } from "../../gpu-worker/onnx/encode-model-proto.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { Runtime } from "../../gpu-worker/runtime/session.ts";
import { int64 } from "../../gpu-worker/tensor/tensor.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { runModel } from "../onnx/run-graph.ts";
import { machineSaturates } from "./machine-saturates.ts";

const root = path.join(import.meta.dirname, "checkpoints");
const names = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

const Rows = z.array(z.array(z.int()));
const Reference = z.object({
  input_ids: Rows,
  attention_mask: Rows,
  token_type_ids: Rows.optional(),
});
const Config = z.looseObject({
  model_type: z.string(),
  architectures: z.array(z.string()).optional(),
});

function readJson(name: string, file: string): unknown {
  return JSON.parse(readFileSync(path.join(root, name, file), "utf8"));
}

let runtime: Runtime;
let largest = 0;

beforeAll(async () => {
  const log = { info: () => undefined, warn: () => undefined };
  runtime = await openRuntime({ log, poolThreads: 1 });
});

afterAll(() => {
  console.info(`checkpoints: largest difference ${largest.toExponential(1)} of ${names.length}`);
});

describe("checkpoints", () => {
  it("show every family", () => {
    const families = new Set(
      names.map((name) => Config.parse(readJson(name, "config.json")).model_type),
    );
    expect([...families].toSorted()).toEqual(encoderFamilies.toSorted());
  });

  it.each(names)("%s gives what transformers gives", async (name) => {
    const result = await verifyModel(path.join(root, name), { runtime, threads: 1 });
    largest = Math.max(largest, result.maxAbsDifference);
    expect(result.compared).toBeGreaterThan(1);
    // A hundred times closer than the promise, so that a slip in one term cannot hide in it.
    expect(result.maxAbsDifference).toBeLessThan(1e-5);
  });
});

/**
 * What a head gives for the checkpoint's own inputs, by output; numbers at padding and first tokens that are such left
 * out.
 */
async function answers(name: string, head: Head, options: Partial<EncoderOptions>) {
  const reference = Reference.parse(readJson(name, "expected.json"));
  const { input_ids: ids, attention_mask: mask, token_type_ids: types } = reference;
  const shape = [ids.length, ids[0]?.length ?? 0];
  const feeds = {
    input_ids: int64(shape, ids.flat()),
    attention_mask: int64(shape, mask.flat()),
    token_type_ids: int64(shape, (types ?? ids.map((row) => row.map(() => 0))).flat()),
  };
  const weights = openSafetensors(path.join(root, name, "model.safetensors"));
  try {
    const config = readJson(name, "config.json");
    const graph = buildEncoder(config, weights, { head, form: "f32", ...options });
    const results = await runModel(encodeModelProto(graph), feeds);
    return Object.values(results).flatMap(({ data, shape: found }) => {
      const perToken = found[1] === shape[1];
      const kept = perToken ? mask.flat() : mask.map(([first = 0]) => first);
      const each = data.length / kept.length;
      return data.filter((_, at) => kept[Math.floor(at / each)] === 1);
    });
  } finally {
    weights.close();
  }
}

function distance(a: readonly number[], b: readonly number[]): number {
  return Math.hypot(...a.map((value, at) => value - (b[at] ?? NaN)));
}

/** Builds the checkpoint `name` with its config changed, or a tensor taken away. */
const build = (name: string, change: object, without?: string) => () => {
  const weights = openSafetensors(path.join(root, name, "model.safetensors"));
  try {
    const entry = (tensor: string) => (tensor === without ? null : weights.entry(tensor));
    const config = Config.parse(readJson(name, "config.json"));
    const head = headOfCheckpoint(config);
    buildEncoder({ ...config, ...change }, { ...weights, entry }, { head, form: "f32" });
  } finally {
    weights.close();
  }
};

describe("refused with its name", () => {
  it.each([
    ["electra-generator", { embedding_size: "12" }, /embedding_size/],
    ["electra-generator", { embedding_size: 13 }, /word_embeddings.weight" is \[48, 12\]/],
    ["distilbert-answers", { n_heads: 3 }, /hidden size 16 does not divide by 3/],
    ["distilbert-answers", { activation: "mish" }, /activation/],
    ["roberta-tokens", { pad_token_id: -1 }, /pad_token_id/],
    ["roberta-tokens", { pad_token_id: 20 }, /max_position_embeddings leaves no room/],
    ["deberta-v3-masked-lm", { pos_att_type: "c2p|x" }, /pos_att_type/],
    ["deberta-v3-masked-lm", { position_buckets: 1 }, /position_buckets must be 2 or more/],
    ["deberta-v3-masked-lm", { max_relative_positions: 4 }, /max_relative_positions/],
    ["deberta-v3-masked-lm", { conv_kernel_size: 3 }, /no tensor "encoder.conv.conv.weight"/],
    ["bert-one-type", { layer_norm_eps: "small" }, /layer_norm_eps/],
    ["bert-one-type", { model_type: undefined }, /model_type/],
    [
      "bert-one-type",
      { model_type: "llama" },
      /only bert, deberta-v2, distilbert, electra, roberta/,
    ],
  ] as const)("%s with %j", (name, change, message) => {
    expect(build(name, change)).toThrow(message);
  });

  it.each([
    ["bert-one-type", "qa_outputs.weight"],
    ["bert-one-type", "bert.encoder.layer.1.output.dense.bias"],
    ["distilbert-classifier-bf16", "pre_classifier.weight"],
    ["electra-narrow-embeddings", "electra.embeddings_project.weight"],
    ["deberta-v3-masked-lm", "deberta.encoder.rel_embeddings.weight"],
  ])("%s without its tensor %s", (name, tensor) => {
    const bare = tensor.replace(/^(bert|electra|deberta)\./, "");
    expect(build(name, {}, tensor)).toThrow(`there is no tensor "${bare}"`);
  });
});

describe("checkpoints as transformers saves them", () => {
  it.each(names)("%s is read whole, or has a head that config.json does not name", (name) => {
    const config = Config.parse(readJson(name, "config.json"));
    const weights = openSafetensors(path.join(root, name, "model.safetensors"));
    try {
      const head = headOfCheckpoint(config);
      const whole = () => buildWholeEncoder(config, weights, { head, form: "f32" });
      const headless = config.architectures === undefined;
      if (headless) expect(whole).toThrow(/no place for: classifier\.bias, classifier\.weight\./);
      else expect(whole).not.toThrow();
    } finally {
      weights.close();
    }
  });
});

describe("forms of serving", () => {
  it.each(names)("%s is the same without padding", async (name) => {
    for (const head of [
      headOfCheckpoint(readJson(name, "config.json")),
      { name: "none" } as const,
    ]) {
      const padded = await answers(name, head, {});
      const packed = await answers(name, head, { packed: true });
      expect(packed.length).toBe(padded.length);
      expect(
        Math.max(...packed.map((value, at) => Math.abs(value - (padded[at] ?? NaN)))),
      ).toBeLessThan(1e-5);
    }
  });

  it.each(names)("%s is the same with its queries in turns", async (name) => {
    const head = { name: "none" } as const;
    const atOnce = await answers(name, head, { packed: true });
    // One query at a time, some that do not divide evenly, and all of them.
    for (const scoreBytes of [1, 1_500, 2 ** 26]) {
      const inTurns = await answers(name, head, { packed: true, scoreBytes });
      expect(inTurns.length).toBe(atOnce.length);
      const differences = inTurns.map((value, at) => Math.abs(value - (atOnce[at] ?? NaN)));
      expect(Math.max(...differences)).toBeLessThan(1e-5);
    }
  });

  it("stay near in int8", async () => {
    const saturates = await machineSaturates();
    const strayed = new Map<string, number>();
    for (const name of names) {
      const exact = await answers(name, { name: "none" }, {});
      const rounded = await answers(
        name,
        { name: "none" },
        { form: "int8", saturates, packed: true },
      );
      strayed.set(name, distance(rounded, exact) / Math.hypot(...exact));
    }
    console.info(`int8: largest relative distance ${Math.max(...strayed.values()).toFixed(3)}`);
    expect([...strayed].filter(([, relative]) => !(relative < 0.1))).toEqual([]);
  });
});
