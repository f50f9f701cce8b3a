import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { bytesOf } from "../../gpu-worker/tensor/tensor.ts";
import { dequantise } from "../../gpu-worker/weights/ggml-blocks.ts";
import { openGgufCheckpoint } from "../../gpu-worker/weights/gguf-checkpoint.ts";
import { llama3Divisors } from "../../gpu-worker/weights/gguf-rope.ts";
import { WeightError } from "../../gpu-worker/weights/weight-source.ts";
import type { WeightSource } from "../../gpu-worker/weights/weight-source.ts";
import { entry, gguf, kinds, tensorInfo, text, uint32 } from "./gguf-bytes.ts";

const made = path.join(import.meta.dirname, "made");
const Tensors = z.record(z.string(), z.string());
const Expected = z.record(
  z.string(),
  z.object({ config: z.record(z.string(), z.unknown()), tensors: Tensors }),
);

function readMade<T>(name: string, schema: z.ZodType<T>): T {
  return schema.parse(JSON.parse(readFileSync(path.join(made, name), "utf8")));
}

/** As make_gguf.py writes it: shape, and the start of the values' digest. */
function summary(source: WeightSource, name: string): string {
  const { shape, data } = source.read(name);
  const digest = createHash("sha256").update(bytesOf(data)).digest("hex").slice(0, 16);
  return `[${shape.join(", ")}] ${digest}`;
}

const expected = readMade("expected.json", Expected);

describe.each(Object.entries(expected))(
  "a decoder of the family %s",
  (family, { config, tensors }) => {
    const checkpoint = openGgufCheckpoint(path.join(made, `${family}.gguf`));
    const { weights } = checkpoint;
    afterAll(() => weights.close());

    it("has the config.json that it was converted from", () => {
      expect(checkpoint.config).toMatchObject(config);
    });

    it("has the names, rows and values that it was converted from, and no other tensors", () => {
      const found = Object.fromEntries(
        weights.names().map((name) => [name, summary(weights, name)]),
      );
      expect(found).toEqual(tensors);
    });

    it("says the same of each tensor before it is read, and of its blocks", () => {
      for (const name of weights.names()) {
        const { shape, dtype, data } = weights.read(name);
        const blocks = weights.blocks(name);
        const { byteLength } = data;
        expect(weights.entry(name)).toEqual({
          name,
          dtype,
          shape,
          byteLength,
          stored: blocks.type,
        });
        expect(blocks.shape).toEqual(shape);
        expect(dequantise(blocks)).toEqual(data);
      }
    });

    it("has its tokenizer", () => {
      expect(checkpoint.tokenizer).toEqual({
        "ggml.model": "gpt2",
        "ggml.pre": "smollm",
        "ggml.tokens": Array.from({ length: 24 }, (_, at) => `t${at}`),
        "ggml.token_type": Int32Array.from({ length: 24 }, (_, at) => (at < 3 ? 3 : 1)),
        "ggml.merges": ["t 1", "t 2"],
        "ggml.bos_token_id": 1,
        "ggml.eos_token_id": 2,
        "ggml.padding_token_id": 0,
        "ggml.add_bos_token": false,
        chat_template: "{{ messages }}",
      });
    });
  },
);

describe("a checkpoint", () => {
  it("says which file lacks a tensor, by either name", () => {
    const { weights } = openGgufCheckpoint(path.join(made, "llama.gguf"));
    expect(weights.blocks("model.layers.0.mlp.up_proj.weight").type).toBe("Q4_1");
    expect(weights.entry("token_embd.weight")).toBeNull();
    expect(() => weights.read("token_embd.weight")).toThrow(
      /llama.gguf: there is no tensor "token/,
    );
    expect(() => weights.blocks("rope_freqs.weight")).toThrow(WeightError);
    weights.close();
    expect(() => weights.read("model.norm.weight")).toThrow(/llama.gguf: the file has been closed/);
  });
});

function rows(name: string, count: number): Uint8Array {
  return tensorInfo({ name, lengths: [4, count], offset: 256 });
}

function architecture(name: string): Uint8Array {
  return entry("general.architecture", kinds.text, text(name));
}

type Wrong = {
  readonly what: string;
  readonly entries: readonly Uint8Array[];
  readonly tensors?: readonly Uint8Array[];
  readonly message: RegExp;
};

describe("a file that is no checkpoint", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "gguf-checkpoint-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const sizes = {
    context_length: 64,
    embedding_length: 32,
    feed_forward_length: 48,
    block_count: 1,
    "attention.head_count": 4,
  };
  const epsilon = new Uint8Array(Float32Array.of(1e-5).buffer);

  /** The metadata of a tiny Llama, with other numbers and more entries as given. */
  function entriesOf(other: Readonly<Record<string, number>>, ...more: Uint8Array[]): Uint8Array[] {
    const numbers = Object.entries({ ...sizes, ...other });
    return [
      architecture("llama"),
      entry("llama.attention.layer_norm_rms_epsilon", 6, epsilon),
      ...numbers.map(([key, value]) => entry(`llama.${key}`, kinds.uint32, uint32(value))),
      ...more,
    ];
  }

  async function open(entries: readonly Uint8Array[], ...tensors: Uint8Array[]) {
    const file = path.join(folder, "wrong.gguf");
    const embedding = tensorInfo({ name: "token_embd.weight", lengths: [32, 2] });
    await writeFile(file, gguf({ entries, tensors: [embedding, ...tensors], dataBytes: 1024 }));
    const checkpoint = openGgufCheckpoint(file);
    checkpoint.weights.close();
    return checkpoint;
  }

  it("is told from one that is: the smallest has defaults", async () => {
    const { config, tokenizer } = await open(entriesOf({}));
    expect(tokenizer).toBeNull();
    expect(config).toMatchObject({
      num_key_value_heads: 4,
      head_dim: 8,
      tie_word_embeddings: true,
      attention_bias: false,
      bos_token_id: null,
      rope_parameters: { rope_type: "default", rope_theta: 10_000 },
    });
  });

  const wrong: readonly Wrong[] = [
    {
      what: "no family",
      entries: [],
      message: /"general.architecture" is missing, only llama, qwen2, qwen3, gemma3 are read/,
    },
    {
      what: "another family",
      entries: [architecture("mamba")],
      message: /"general.architecture" is mamba/,
    },
    {
      what: "no sizes",
      entries: [architecture("llama")],
      message: /"llama.context_length": .*received undefined/,
    },
    {
      what: "but a part of the tensors",
      entries: entriesOf({}, entry("split.count", kinds.uint32, uint32(2))),
      message: /it is one of 2 parts/,
    },
    {
      what: "no layers",
      entries: entriesOf({ block_count: 0 }),
      message: /"llama.block_count": /,
    },
    {
      what: "2^32 − 1 layers",
      entries: entriesOf({ block_count: 2 ** 32 - 1 }),
      message: /"llama.block_count": /,
    },
    {
      what: "experts",
      entries: entriesOf({ expert_count: 8 }),
      message: /"llama.expert_count": mixtures of experts/,
    },
    {
      what: "uneven heads",
      entries: entriesOf({ "attention.head_count": 5 }),
      message: /"llama.attention.head_count" does not divide/,
    },
    {
      what: "narrower values",
      entries: entriesOf({ "attention.value_length": 4 }),
      message: /"llama.attention.value_length" is 4/,
    },
    {
      what: "heads turned in part",
      entries: entriesOf({ "rope.dimension_count": 4 }),
      message: /"llama.rope.dimension_count" is 4 of 8/,
    },
    {
      what: "another scaling",
      entries: entriesOf(
        { "rope.scaling.original_context_length": 2 },
        entry("llama.rope.scaling.type", kinds.text, text("longrope")),
      ),
      message: /"llama.rope.scaling.type" is longrope/,
    },
    {
      what: "a scaling that is not Llama's",
      entries: entriesOf({}),
      tensors: [tensorInfo({ name: "rope_freqs.weight", lengths: [4], offset: 256 })],
      message: /"rope_freqs.weight" does not scale/,
    },
    {
      what: "queries of half a head",
      entries: entriesOf({}),
      tensors: [rows("blk.0.attn_q.weight", 12)],
      message: /"blk.0.attn_q.weight" has 12 rows/,
    },
    {
      what: "a tensor under both names",
      entries: entriesOf({}),
      tensors: [
        rows("model.norm.weight", 2),
        tensorInfo({ name: "output_norm.weight", offset: 512 }),
      ],
      message: /two tensors are "model.norm.weight"/,
    },
    {
      what: "a tokenizer without tokens",
      entries: entriesOf({}, entry("tokenizer.ggml.model", kinds.text, text("gpt2"))),
      message: /"tokenizer.ggml.tokens": /,
    },
  ];

  it.each(wrong)("with $what is refused, named", async ({ entries, tensors = [], message }) => {
    await expect(open(entries, ...tensors)).rejects.toThrow(message);
    await expect(open(entries, ...tensors)).rejects.toThrow(/wrong\.gguf: /);
  });

  it("keeps the names of tensors that no checkpoint of its family has", async () => {
    const { weights } = await open(entriesOf({}), rows("blk.0.attn_sinks.weight", 2));
    expect(weights.names()).toContain("blk.0.attn_sinks.weight");
  });
});

describe("Llama 3's scaling", () => {
  it("is 1 for short waves, the factor for long ones, and between them in between", () => {
    const divisors = llama3Divisors(500_000, 64, 32);
    expect(divisors[0]).toBe(1);
    expect(divisors.at(-1)).toBe(32);
    expect(divisors).toEqual(divisors.toSorted((a, b) => a - b));
    expect(divisors.filter((each) => each > 1 && each < 32)).not.toEqual([]);
  });
});

const smollm2 = path.resolve(
  import.meta.dirname,
  "../../../shared/models/SmolLM2-135M-Instruct/SmolLM2-135M-Instruct.Q4_1.gguf",
);
if (!existsSync(smollm2))
  console.info("Skipped: tests against ../shared/models, which is not here");

describe.skipIf(!existsSync(smollm2))("SmolLM2 135M", () => {
  const tensors = readMade("smollm2.json", Tensors);

  it("has the values of the reference implementation, in transformers' order", () => {
    const { weights } = openGgufCheckpoint(smollm2);
    const names = Object.keys(tensors);
    expect(Object.fromEntries(names.map((name) => [name, summary(weights, name)]))).toEqual(
      tensors,
    );
    expect(weights.names()).toHaveLength(272);
    expect(weights.names().filter((name) => !name.startsWith("model."))).toEqual([]);
    weights.close();
  });

  it("has the config.json and the tokenizer of the model", () => {
    const { config, tokenizer, weights } = openGgufCheckpoint(smollm2);
    weights.close();
    expect(config).toEqual({
      model_type: "llama",
      architectures: ["LlamaForCausalLM"],
      vocab_size: 49_152,
      hidden_size: 576,
      intermediate_size: 1536,
      num_hidden_layers: 30,
      num_attention_heads: 9,
      num_key_value_heads: 3,
      head_dim: 64,
      max_position_embeddings: 8192,
      rms_norm_eps: Math.fround(1e-5),
      hidden_act: "silu",
      attention_bias: false,
      mlp_bias: false,
      tie_word_embeddings: true,
      rope_parameters: { rope_type: "default", rope_theta: 100_000 },
      bos_token_id: 1,
      eos_token_id: 2,
      pad_token_id: 2,
    });
    expect(tokenizer).toMatchObject({ "ggml.model": "gpt2", "ggml.pre": "smollm" });
    expect(tokenizer?.["ggml.tokens"]).toHaveLength(49_152);
    expect(tokenizer?.["ggml.tokens"].slice(0, 3)).toEqual([
      "<|endoftext|>",
      "<|im_start|>",
      "<|im_end|>",
    ]);
    expect(tokenizer?.["ggml.merges"]).toHaveLength(48_900);
  });
});
