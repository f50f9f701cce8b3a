/**
 * Decoders of every family and odd config, against what transformers computed for them (decoders/make_decoders.py, and
 * those of the shared folder where it is): whole texts as `npm run model -- verify` compares, and the same texts token
 * by token on the keys and values that the graph kept.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { buildDecoder, decoderFamilies } from "../../gpu-worker/architectures/decoder.ts";
import { verifyModel } from "../../gpu-worker/cli/verify-model.ts";
import { readingWholeTexts } from "../../gpu-worker/cli/whole-texts.ts";
import { encodeModel } from "../../gpu-worker/onnx/encode-model.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { Runtime, Session } from "../../gpu-worker/runtime/session.ts";
import { int64 } from "../../gpu-worker/tensor/tensor.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { sharedFolder } from "../catalog/shared-folder.ts";
import { TextReader } from "./text-reader.ts";

const Config = z.looseObject({ model_type: z.string() });

function readJson(folder: string, file: string): unknown {
  return JSON.parse(readFileSync(path.join(folder, file), "utf8"));
}

function decodersIn(root: string): [string, string][] {
  if (!existsSync(root)) return [];
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }): [string, string] => [name, path.join(root, name)])
    .filter(([, folder]) => {
      const { model_type: type } = Config.parse(readJson(folder, "config.json"));
      return decoderFamilies.includes(type);
    });
}

const own = decodersIn(path.join(import.meta.dirname, "decoders"));
const tiny =
  sharedFolder === null ? [] : decodersIn(path.join(sharedFolder, "models/references/tiny"));
if (tiny.length === 0) console.info("Skipped: decoders of ../shared/models, which is not here");
const decoders = [
  ...own,
  ...tiny.map(([name, folder]): [string, string] => [`shared ${name}`, folder]),
];

let runtime: Runtime;
const largest = new Map<string, number>();

beforeAll(async () => {
  const log = { info: () => undefined, warn: () => undefined };
  runtime = await openRuntime({ log, poolThreads: 1 });
});

afterAll(() => {
  const rows = [...largest].map(([name, difference]) => `${name} ${difference.toExponential(1)}`);
  console.info(`decoders: largest differences\n  ${rows.join("\n  ")}`);
});

describe("decoders", () => {
  it("show every family", () => {
    const families = new Set(
      own.map(([, folder]) => Config.parse(readJson(folder, "config.json")).model_type),
    );
    expect([...families].toSorted()).toEqual(decoderFamilies.toSorted());
  });

  it.each(decoders)("%s gives what transformers gives", async (name, folder) => {
    const result = await verifyModel(folder, { runtime, threads: 1 });
    largest.set(name, result.maxAbsDifference);
    expect(result.compared).toBeGreaterThan(1);
    // A twentieth of the promise, so that a slip in one term cannot hide; CPUs differ in the last digits.
    expect(result.maxAbsDifference).toBeLessThan(5e-5);
  });
});

const Reference = z.object({
  input_ids: z.array(z.array(z.int())),
  attention_mask: z.array(z.array(z.int())),
});

/** The reference's texts without padding. */
function textsOf(folder: string): number[][] {
  const { input_ids: ids, attention_mask: mask } = Reference.parse(
    readJson(folder, "expected.json"),
  );
  return ids.map((row, at) => row.filter((_, column) => mask[at]?.[column] === 1));
}

/** Longer than any text here. */
const room = 32;

async function open(folder: string): Promise<Session> {
  const weights = openSafetensors(path.join(folder, "model.safetensors"));
  try {
    const graph = buildDecoder(readJson(folder, "config.json"), weights, { positions: room });
    return await runtime.load({ bytes: await encodeModel(graph) }, { threads: 1, provider: "cpu" });
  } finally {
    weights.close();
  }
}

function farthest(a: readonly number[], b: readonly number[]): number {
  expect(a.length).toBe(b.length);
  return Math.max(...a.map((value, at) => Math.abs(value - (b[at] ?? NaN))));
}

describe("whole texts", () => {
  const [, folder = ""] = own[0] ?? [];
  const read = async (ids: number[][], mask: number[][]) => {
    const session = await open(folder);
    const shape = [ids.length, ids[0]?.length ?? 0];
    try {
      const { logits } = await readingWholeTexts(session).run({
        input_ids: int64(shape, ids.flat()),
        attention_mask: int64(shape, mask.flat()),
      });
      if (logits?.dtype !== "float32") throw new TypeError("a decoder gives logits");
      return { shape: logits.shape, data: Array.from(logits.data) };
    } finally {
      await session.release();
    }
  };

  it("are read wherever they stand in their row, and empty rows are passed over", async () => {
    const alone = await read([[5, 6]], [[1, 1]]);
    const [, , vocabulary = 0] = alone.shape;
    const nothing = Array.from({ length: vocabulary }, () => 0);
    const rows = await read(
      [
        [0, 5, 6],
        [1, 2, 3],
        [5, 6, 0],
      ],
      [
        [0, 1, 1],
        [0, 0, 0],
        [1, 1, 0],
      ],
    );
    expect(rows.shape).toEqual([3, 3, vocabulary]);
    const empty = [...nothing, ...nothing, ...nothing];
    const expected = [...nothing, ...alone.data, ...empty, ...alone.data, ...nothing];
    expect(farthest(rows.data, expected)).toBeLessThan(1e-5);
  });

  it("have no gaps", async () => {
    await expect(read([[5, 6, 7]], [[1, 0, 1]])).rejects.toThrow("row 0 has gaps");
  });
});

describe("decoders step by step", () => {
  it.each(decoders)("%s gives the same as at once", async (name, folder) => {
    const session = await open(folder);
    try {
      const texts = textsOf(folder);
      const whole: number[][][] = [];
      for (const text of texts)
        whole.push(...(await new TextReader(session, 1, room).read([text])));
      const strayed: number[] = [];
      const compare = (text: number, from: number, rows: readonly (readonly number[])[]) => {
        for (const [at, row] of rows.entries())
          strayed.push(farthest(row, whole[text]?.[from + at] ?? []));
      };

      // Each text by itself: a beginning, a further piece of three, both padded, then token by token.
      for (const [at, text] of texts.entries()) {
        const reader = new TextReader(session, 1, room);
        const begun = Math.ceil(text.length / 3);
        for (const [from, to] of piecesOf(begun, text.length)) {
          const [rows = []] = await reader.read([text.slice(from, to)], to - from > 1 ? 2 : 0);
          compare(at, from, rows);
        }
      }

      // All together, at different lengths, padded on the right to begin with.
      const reader = new TextReader(session, texts.length, room);
      const begun = texts.map((text, at) => Math.max(1, Math.ceil(text.length / 2) - at));
      const first = await reader.read(texts.map((text, at) => text.slice(0, begun[at])));
      for (const [at, rows] of first.entries()) compare(at, 0, rows);
      const steps = Math.min(...texts.map((text, at) => text.length - (begun[at] ?? 0)));
      for (let step = 0; step < steps; step++) {
        const next = texts.map((text, at) => text.slice((begun[at] ?? 0) + step).slice(0, 1));
        for (const [at, rows] of (await reader.read(next)).entries())
          compare(at, (begun[at] ?? 0) + step, rows);
      }
      largest.set(`${name}, step by step`, Math.max(...strayed));
      expect(Math.max(...strayed)).toBeLessThan(5e-5);
    } finally {
      await session.release();
    }
  });
});

/** A beginning, up to three more, then one at a time. */
function piecesOf(begun: number, length: number): [number, number][] {
  const more = Math.min(begun + 3, length);
  const pieces: [number, number][] = [
    [0, begun],
    [begun, more],
  ];
  for (let at = more; at < length; at++) pieces.push([at, at + 1]);
  return pieces.filter(([from, to]) => from < to);
}

/** Builds the checkpoint `name` with its config changed, a tensor taken away or one more. */
const build =
  (name: string, change: object, { without = "", extra = "", positions = 32 } = {}) =>
  () => {
    const folder = path.join(import.meta.dirname, "decoders", name);
    const weights = openSafetensors(path.join(folder, "model.safetensors"));
    try {
      const source = {
        ...weights,
        entry: (each: string) => (each === without ? null : weights.entry(each)),
        names: () => (extra === "" ? weights.names() : [...weights.names(), extra]),
      };
      const config = { ...Config.parse(readJson(folder, "config.json")), ...change };
      return buildDecoder(config, source, { positions });
    } finally {
      weights.close();
    }
  };

const rope = (parameters: object) => ({ rope_parameters: parameters });

describe("refused with its name", () => {
  it.each([
    ["llama-yarn", { model_type: "gpt2" }, /model_type gpt2 is not built, only gemma3_text, llama/],
    [
      "llama-yarn",
      { architectures: ["LlamaForSequenceClassification"] },
      /no head is built for LlamaFor/,
    ],
    ["llama-yarn", { hidden_act: "mish" }, /hidden_act/],
    ["llama-yarn", { num_key_value_heads: 2 }, /3 heads do not divide by num_key_value_heads 2/],
    ["llama-yarn", { head_dim: 7 }, /heads of 7 features do not divide into pairs/],
    [
      "llama-yarn",
      { head_dim: null, num_attention_heads: 5 },
      /hidden size 24 does not divide by 5/,
    ],
    ["llama-yarn", { head_dim: 6 }, /q_proj.weight" is \[60, 24\], not \[18, 24\]/],
    ["llama-yarn", { vocab_size: 40 }, /embed_tokens.weight" is \[41, 24\], not \[40, 24\]/],
    ["llama-yarn", { attention_bias: true }, /no tensor "layers.0.self_attn.q_proj.bias"/],
    ["llama-yarn", { num_hidden_layers: 1 }, /no place for: model.layers.1/],
    ["llama-yarn", { quantization_config: { bits: 4 } }, /quantization_config is not built/],
    ["llama-yarn", { partial_rotary_factor: 0.5 }, /partial_rotary_factor 0.5 is not built/],
    [
      "llama-yarn",
      rope({ rope_type: "longrope" }),
      /rope_parameters.* longrope is not built, only def/,
    ],
    [
      "llama-yarn",
      rope({ type: "mrope" }),
      /mrope is not built, only default, linear, dynamic, llama3/,
    ],
    ["llama-yarn", rope({ rope_type: "linear" }), /rope_parameters.factor/],
    [
      "llama-yarn",
      rope({ partial_rotary_factor: 0.5 }),
      /rope_parameters.partial_rotary_factor 0.5/,
    ],
    ["llama-yarn", rope({ full_attention: { rope_type: "default" } }), /by kind of layer/],
    ["llama-linear-oldest-form", { rope_scaling: { type: "linear" } }, /rope_scaling.factor/],
    [
      "llama-all-biases",
      { attention_bias: false },
      /no place for: model.layers.0.self_attn.k_proj.bias/,
    ],
    ["llama-all-biases", { mlp_bias: false }, /no place for: model.layers.0.mlp.down_proj.bias/],
    [
      "qwen2-window-unused",
      { layer_types: ["sliding_attention", "full_attention"] },
      /no sliding_window/,
    ],
    ["qwen2-window-unused", { layer_types: ["full_attention"] }, /layer_types lists 1 layers/],
    [
      "qwen2-window-unused",
      { layer_types: ["chunked_attention"] },
      /chunked_attention is not built/,
    ],
    ["gemma3-old-form", { attn_logit_softcapping: 50 }, /attn_logit_softcapping is not built/],
    [
      "gemma3-old-form",
      { use_bidirectional_attention: true },
      /use_bidirectional_attention true is not/,
    ],
    ["gemma3-old-form", rope({ rope_type: "default" }), /rope_parameters/],
  ] as const)("%s with %j", (name, change, message) => {
    expect(build(name, change)).toThrow(message);
  });

  it.each([
    ["llama-all-biases", "lm_head.weight"],
    ["llama-all-biases", "model.layers.1.mlp.up_proj.bias"],
    ["qwen3-layer-types-biases", "model.layers.0.self_attn.k_norm.weight"],
    ["gemma3-old-form", "model.layers.2.post_feedforward_layernorm.weight"],
  ])("%s without its tensor %s", (name, without) => {
    expect(build(name, {}, { without })).toThrow(
      `there is no tensor "${without.replace("model.", "")}"`,
    );
  });

  it("a text that a dynamic rope would have to be stretched for", () => {
    expect(build("llama-dynamic-bare", {})).not.toThrow();
    expect(build("llama-dynamic-bare", {}, { positions: 33 })).toThrow(
      "a dynamic rope is built for texts of up to max_position_embeddings, 32, not 33",
    );
  });

  it("an adapter that was not merged", () => {
    const extra = "model.layers.0.self_attn.q_proj.lora_A.weight";
    expect(build("llama-all-biases", {}, { extra })).toThrow(
      `no place for: ${extra}. Merge adapters`,
    );
  });
});
