/**
 * Gradients of whole models of every family by a few of their tensors, against central differences of the loss
 * (slopes.ts); also where what layers give is kept alone, and the rest computed again.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { buildTrainingDecoder } from "../../gpu-worker/architectures/decoder.ts";
import { buildTrainingEncoder } from "../../gpu-worker/architectures/encoder.ts";
import { layerOutputs } from "../../gpu-worker/architectures/layer-outputs.ts";
import type { EncoderTask } from "../../gpu-worker/architectures/training-encoder.ts";
import type { Graph } from "../../gpu-worker/onnx/graph.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { Runtime } from "../../gpu-worker/runtime/session.ts";
import { float32, int64 } from "../../gpu-worker/tensor/tensor.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";
import { encoderDropout } from "../../gpu-worker/training/encoder-dropout.ts";
import type { DropoutRates } from "../../gpu-worker/training/encoder-dropout.ts";
import {
  newAdapters,
  newLayer,
  newPrompt,
  newWordShapes,
} from "../../gpu-worker/training/start-tensors.ts";
import type { StartTensors } from "../../gpu-worker/training/start-tensors.ts";
import { layeredWeights, memoryWeights } from "../../gpu-worker/weights/memory-weights.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import type { WeightSource } from "../../gpu-worker/weights/weight-source.ts";
import { numbers } from "../onnx/run-graph.ts";
import { packTexts } from "./pack-texts.ts";
import { parametersOf } from "./parameters-of.ts";
import { slopesOf } from "./slopes.ts";

let runtime: Runtime;

beforeAll(async () => {
  const log = { info: () => undefined, warn: () => undefined };
  runtime = await openRuntime({ log, only: "c-api", poolThreads: 1 });
});

let largest = 0;

afterAll(() => console.info(`gradients: ${largest.toExponential(1)} apart at most, relatively`));

const fixtures = path.join(import.meta.dirname, "../architectures");

function open(folder: string, start: StartTensors = new Map()) {
  const base = path.join(fixtures, folder);
  const config: unknown = JSON.parse(readFileSync(path.join(base, "config.json"), "utf8"));
  const under = openSafetensors(path.join(base, "model.safetensors"));
  return { config, weights: layeredWeights(memoryWeights(start), under), start };
}

async function expectGradients(
  forward: Graph,
  feeds: Readonly<Record<string, Tensor>>,
  {
    parameters,
    recomputes,
  }: { readonly parameters: readonly string[]; readonly recomputes: boolean },
): Promise<void> {
  const checkpoints = recomputes ? layerOutputs(forward) : [];
  const slopes = await slopesOf(runtime, { forward, feeds, parameters, checkpoints });
  for (const { name, given, measured } of slopes) {
    largest = Math.max(largest, Math.abs(given - measured));
    expect(measured, name).toBeCloseTo(given, 2);
  }
}

const Sizes = z.looseObject({ vocab_size: z.int().default(100) });
const [texts, sequence] = [4, 7];
const shape = [texts, sequence];

/** Texts of several lengths, by a fixed sequence. */
function batchOf(config: unknown): Record<string, Tensor> {
  const { vocab_size: vocabulary } = Sizes.parse(config);
  const mask = [7, 4, 6, 5].flatMap((length) =>
    Array.from({ length: sequence }, (_, at) => (at < length ? 1 : 0)),
  );
  const drawn = numbers(texts * sequence, 3);
  const ids = mask.map((real, at) =>
    real === 1 ? 4 + Math.floor((((drawn[at] ?? 0) + 1) / 2) * (vocabulary - 5)) : 0,
  );
  return {
    input_ids: int64(shape, ids),
    attention_mask: int64(shape, mask),
    token_type_ids: int64(
      shape,
      mask.map((_, at) => at % 2),
    ),
    seed: int64([], [12]),
    word_shapes: int64(
      shape,
      mask.map((_, at) => at % 9),
    ),
  };
}

const perText = (values: readonly number[]) => int64([texts], values);

type Case = {
  readonly folder: string;
  readonly task: EncoderTask;
  readonly labels: Readonly<Record<string, Tensor>>;
  /** Ends of the names of tensors that are checked. */
  readonly ends: readonly string[];
  readonly start?: (weights: WeightSource) => StartTensors;
  readonly dropout?: DropoutRates;
  readonly labelSmoothing?: number;
};

function random(seed: number): () => number {
  let at = seed * 1000;
  return () => ((numbers(1, at++)[0] ?? 0) + 1) / 2;
}

const cases: Readonly<Record<string, Case>> = {
  "BERT by tokens, with word shapes, dropout and smoothed labels": {
    labelSmoothing: 0.2,
    dropout: { hidden: 0.2, attention: 0.3, head: 0.1 },
    folder: "checkpoints/bert-tokens",
    task: { name: "token-classification" },
    labels: {
      labels: int64(
        shape,
        Array.from({ length: 28 }, (_, at) => (at % 5 === 0 ? -100 : at % 2)),
      ),
    },
    ends: [
      "word_embeddings.weight",
      "word_shape_embeddings.weight",
      "0.attention.self.query.weight",
      "classifier.bias",
      "0.output.LayerNorm.weight",
    ],
    start: () => newWordShapes(16),
  },
  "BERT by a number": {
    folder: "checkpoints/bert-regression-f16",
    task: { name: "sequence-classification", problem: "regression" },
    labels: { labels: float32([texts], [0.5, -1, 2, 0]) },
    ends: ["pooler.dense.weight", "0.attention.self.value.bias"],
  },
  "DistilBERT by answers": {
    folder: "checkpoints/distilbert-answers",
    task: { name: "question-answering" },
    labels: { start_positions: perText([1, 0, 3, 2]), end_positions: perText([2, 3, -100, 4]) },
    ends: ["qa_outputs.weight", "0.attention.k_lin.weight", "position_embeddings.weight"],
  },
  "DistilBERT by several classes": {
    folder: "checkpoints/distilbert-classifier-bf16",
    task: { name: "sequence-classification", problem: "multi_label" },
    labels: { labels: float32([texts, 3], [1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1]) },
    ends: ["classifier.weight", "0.ffn.lin1.weight"],
  },
  "RoBERTa by masks, the vocabulary in slices": {
    folder: "checkpoints/roberta-masked-lm",
    task: { name: "masked-lm", slices: 4 },
    labels: {
      positions: int64([6], [1, 3, 8, 15, 16, 21]),
      labels: int64([6], [5, 9, 11, 5, -100, 6]),
    },
    ends: ["word_embeddings.weight", "lm_head.dense.weight", "0.output.dense.weight"],
  },
  "XLM-RoBERTa by classes, smoothed": {
    labelSmoothing: 0.1,
    folder: "checkpoints/xlm-roberta-classifier",
    task: { name: "sequence-classification", problem: "single_label" },
    labels: { labels: perText([0, 1, -100, 1]) },
    ends: ["classifier.out_proj.weight", "embeddings.LayerNorm.bias"],
  },
  "ELECTRA by pairs of texts": {
    folder: "checkpoints/electra-narrow-embeddings",
    task: { name: "similarity", pooling: "mean", by: "contrast" },
    labels: { labels: int64([2], [1, 0]) },
    ends: ["embeddings_project.weight", "0.intermediate.dense.weight"],
  },
  "DeBERTa v2 with its convolution": {
    folder: "checkpoints/deberta-v2-convolution",
    task: { name: "similarity", pooling: "cls", by: "cosine" },
    labels: { labels: float32([2], [0.9, -0.2]) },
    ends: [
      "encoder.conv.conv.weight",
      "encoder.conv.conv.bias",
      "embeddings.word_embeddings.weight",
    ],
  },
  "DeBERTa by relations, smoothed, distances trained": {
    labelSmoothing: 0.1,
    folder: "checkpoints/deberta-v3-masked-lm",
    task: { name: "relation" },
    labels: {
      head_mask: int64(
        shape,
        Array.from({ length: 28 }, (_, at) => (at % 7 === 1 ? 1 : 0)),
      ),
      tail_mask: int64(
        shape,
        Array.from({ length: 28 }, (_, at) => (at % 7 === 2 || at % 7 === 3 ? 1 : 0)),
      ),
      labels: perText([2, 0, 1, 2]),
    },
    ends: ["rel_embeddings.weight", "0.attention.self.key_proj.bias", "classifier.weight"],
    start: () => newLayer("classifier", { inputs: 48, outputs: 3 }, random(1)),
  },
};

describe("gradients of encoders", () => {
  it.each(Object.keys(cases))("%s", async (name) => {
    const found = cases[name];
    if (found === undefined) throw new TypeError(name);
    const { folder, task, labels, ends, labelSmoothing = 0 } = found;
    const bare = open(folder);
    const { config, weights } = open(folder, found.start?.(bare.weights));
    for (const packed of [false, true]) {
      const forward = buildTrainingEncoder(config, weights, {
        task,
        packed,
        labelSmoothing,
        isInput: () => true,
        ...(found.dropout === undefined ? {} : { dropout: encoderDropout(found.dropout) }),
      });
      const feeds = { ...batchOf(config), ...parametersOf(forward, weights), ...labels };
      const inputs = forward.inputs.map(({ name: input }) => input);
      const parameters = ends.map((end) => {
        const input = inputs.find((each) => each.endsWith(end));
        if (input === undefined) throw new Error(`${end} among ${inputs.join(", ")}`);
        return input;
      });
      await expectGradients(forward, feeds, { parameters, recomputes: packed });
    }
    bare.weights.close();
    weights.close();
  });
});

const sharing = [
  [5, 9, 3, 7, 11],
  [4, 8, 6],
];

/** Rows with several texts, some of whose tokens are virtual, and the next tokens. */
function textsOf(virtual: readonly number[]): Record<string, Tensor> {
  const rows = [sharing.map((text) => [...virtual, ...text]), [[9, 4, 12, 3, 8, 10]]];
  const feeds = packTexts(rows, 16);
  const count = feeds["positions"]?.shape[0] ?? 0;
  return {
    ...feeds,
    labels: int64(
      [count],
      Array.from({ length: count }, (_, at) => (at % 3 === 2 ? -100 : 3 + at)),
    ),
  };
}

async function checkDecoder(
  { config, weights }: ReturnType<typeof open>,
  { ends, feeds }: { ends: readonly string[]; feeds: Readonly<Record<string, Tensor>> },
  options: { loraScale?: number; slices?: number; isInput?: (name: string) => boolean } = {},
): Promise<void> {
  const forward = buildTrainingDecoder(config, weights, {
    positions: 16,
    isInput: () => true,
    ...options,
  });
  const parameters = ends.map((end) => {
    const found = forward.inputs.find(({ name }) => name.endsWith(end));
    if (found === undefined) throw new Error(`no ${end}`);
    return found.name;
  });
  await expectGradients(
    forward,
    { ...feeds, ...parametersOf(forward, weights) },
    { parameters, recomputes: true },
  );
  weights.close();
}

describe("gradients of decoders", () => {
  it("Gemma 3: norms of heads, windows, the vocabulary in slices", async () => {
    await checkDecoder(
      open("decoders/gemma3-untied-biases"),
      {
        ends: [
          "embed_tokens.weight",
          "lm_head.weight",
          "0.self_attn.q_norm.weight",
          "1.self_attn.k_proj.weight",
          "0.post_attention_layernorm.weight",
        ],
        feeds: textsOf([]),
      },
      { slices: 3 },
    );
  });

  it("Llama: biases, heads that share keys", async () => {
    await checkDecoder(open("decoders/llama-all-biases"), {
      ends: [
        "0.self_attn.k_proj.bias",
        "0.self_attn.v_proj.weight",
        "0.mlp.gate_proj.weight",
        "model.norm.weight",
      ],
      feeds: textsOf([]),
    });
  });

  it("Mistral in a window, Qwen 3 with one table for words and logits", async () => {
    await checkDecoder(open("decoders/mistral-window-old-form"), {
      ends: ["0.self_attn.q_proj.weight", "0.self_attn.o_proj.weight"],
      feeds: textsOf([]),
    });
    await checkDecoder(open("decoders/qwen3-yarn-tied-bf16"), {
      ends: ["embed_tokens.weight", "1.mlp.down_proj.weight"],
      feeds: textsOf([]),
    });
  });

  it("Qwen 2: adapters of low rank alone", async () => {
    const folder = "decoders/qwen2-window-unused";
    const bare = open(folder);
    const targets = ["q_proj", "down_proj"];
    const start = new Map(
      newAdapters(bare.weights, { rank: 3, targets, prefix: "model." }, random(2)),
    );
    for (const [name, { shape: of }] of start) {
      // B begins at 0, where A has no gradient.
      const count = of.reduce((product, length) => product * length, 1);
      if (name.endsWith("lora_B.weight")) start.set(name, float32(of, numbers(count, 5)));
    }
    bare.weights.close();
    await checkDecoder(
      open(folder, start),
      {
        ends: [
          "0.self_attn.q_proj.lora_A.weight",
          "0.self_attn.q_proj.lora_B.weight",
          "1.mlp.down_proj.lora_A.weight",
        ],
        feeds: textsOf([]),
      },
      { loraScale: 0.7, isInput: (name) => name.includes("lora_") },
    );
  });

  it("Llama: virtual tokens alone", async () => {
    const folder = "decoders/llama-llama3-bf16";
    const bare = open(folder);
    const { vocab_size: vocabulary } = Sizes.parse(bare.config);
    const table = bare.weights.names().find((name) => name.endsWith("embed_tokens.weight")) ?? "";
    const start = newPrompt(bare.weights, { table, tokens: 2 }, random(3));
    bare.weights.close();
    await checkDecoder(
      open(folder, start),
      { ends: ["prompt_embeddings"], feeds: textsOf([vocabulary, vocabulary + 1]) },
      { isInput: (name) => name === "prompt_embeddings" },
    );
  });
});
