/** Decoders in folders of the operator's: what is said of them, what they generate, and why some are refused. */
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import { openCatalog } from "../../gpu-worker/catalog/open-catalog.ts";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { decoderFor } from "../../gpu-worker/model/served-model.ts";
import { chatCompletion } from "../../gpu-worker/pipelines/chat-completion.ts";
import { detokenize } from "../../gpu-worker/pipelines/detokenize.ts";
import { featureExtraction } from "../../gpu-worker/pipelines/feature-extraction.ts";
import { textGeneration } from "../../gpu-worker/pipelines/text-generation.ts";
import { tokenize } from "../../gpu-worker/pipelines/tokenize.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import { type CatalogBench, never, openCatalogBench, stateOf, until } from "./catalog-bench.ts";
import {
  type Expected,
  writeInShards,
  writeTinyDecoder,
  writeTinyTokenizer,
} from "./tiny-decoder.ts";
import { writeTinyEncoder } from "./tiny-encoder.ts";

const ggufs = path.resolve(import.meta.dirname, "../weights/made");
const id = "tiny";
let bench: CatalogBench;
const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => performance.now() });

beforeEach(async () => {
  bench = await openCatalogBench();
});

afterEach(async () => {
  await runner.close();
  await bench.close();
});

const change = (name: string, text: string) => writeFile(path.join(bench.local(id), name), text);

function indexOfLargest(row: readonly number[]): number {
  return row.reduce((best, value, at) => (value > (row[best] ?? -Infinity) ? at : best), 0);
}

/** The first expected text's next token, of the likeliest. */
function nextOf({ input_ids: [ids = []], logits: [rows = []] }: Expected): [number[], number] {
  return [ids, indexOfLargest(rows.at(-1) ?? [])];
}

async function firstToken(catalog: Catalog, prompt: number[]): Promise<number | undefined> {
  const parameters = { max_tokens: 1, temperature: 0, top_logprobs: 0 };
  const request = { task: "text-generation" as const, inputs: [prompt], parameters };
  const model = await catalog.acquire(id, never);
  const { outputs } = await runner.run(textGeneration, request, model, {
    signal: never,
  });
  return outputs[0]?.choices[0]?.logprobs?.[0]?.id;
}

describe("a folder with a decoder", () => {
  it("says what it can, what its files say, and its digest before it is loaded", async () => {
    await writeTinyDecoder(bench.local(id));
    await change("generation_config.json", `{"eos_token_id": [2, 7]}`);
    const catalog = await bench.open();
    expect(stateOf(catalog, id)).toMatchObject({
      status: "available",
      tasks: ["text-generation", "chat-completion"],
      limits: { maxTokens: 32, dimensions: null, vocabularySize: 41 },
    });
    await until(catalog, () => stateOf(catalog, id).digest !== null);
    const model = decoderFor("text-generation", await catalog.acquire(id, never));
    expect(model.digest).toBe(stateOf(catalog, id).digest);
    expect([...model.endTokens]).toEqual([2, 7]);
    expect(model.keyValues).toEqual({ layers: 2, heads: 3, width: 16 });
    expect(model.chatTemplate).toMatchObject({ bosToken: "<s>", eosToken: "</s>" });
    expect(model.keyValueBytes).toBe(4 * 32 * 2 * 3 * 16 * 8);
    expect(model.logitBlocks?.outputs.map(({ name }) => name)).toEqual(["maxima", "sums"]);
  });

  it("takes no longer texts than the operator says, under another digest", async () => {
    await writeTinyDecoder(bench.local(id));
    const usual = await bench.open();
    const short = await bench.open({ contextTokens: 8 });
    expect(stateOf(short, id).limits?.maxTokens).toBe(8);
    expect((await short.acquire(id, never)).digest).not.toBe(
      (await usual.acquire(id, never)).digest,
    );
    expect(await firstToken(short, [1, 2, 3, 4, 5, 6, 7])).toBeTypeOf("number");
  });

  it.each(["llama-all-biases", "gemma3-old-form", "qwen3-yarn-tied-bf16"])(
    "keeps keys and values in int8 where the operator wants it, in a quarter of the memory: %s",
    async (name) => {
      const [prompt, token] = nextOf(await writeTinyDecoder(bench.local(id), name));
      const usual = decoderFor("text-generation", await (await bench.open()).acquire(id, never));
      const catalog = await bench.open({ kvCache: "int8" });
      const model = decoderFor("text-generation", await catalog.acquire(id, never));
      const kept = model.session.inputs.filter(({ name: input }) => input.includes("past_key"));
      expect(new Set(kept.map(({ dtype }) => dtype))).toEqual(new Set(["int8"]));
      expect(model.keyValueBytes).toBe(usual.keyValueBytes / 4);
      expect(model.digest).not.toBe(usual.digest);
      expect(stateOf(catalog, id).digest).toBe(model.digest);
      expect(await firstToken(catalog, prompt)).toBe(token);
      const figures = [...bench.told, ...bench.warned].filter((fields) => "figures" in fields);
      expect(figures).toEqual([
        { model: id, figures: expect.objectContaining({ divergence: expect.any(Number) }) },
      ]);
    },
  );

  it("takes no conversation without a chat template", async () => {
    await writeTinyDecoder(bench.local(id), "qwen3-yarn-tied-bf16", { template: false });
    const catalog = await bench.open();
    expect(stateOf(catalog, id).tasks).toEqual(["text-generation"]);
    const model = await catalog.acquire(id, never);
    const inputs = [{ messages: [{ role: "user" as const, content: "w3" }] }];
    const request = { task: "chat-completion" as const, inputs, parameters: {} };
    const asked = runner.run(chatCompletion, request, model, { signal: never });
    await expect(asked).rejects.toMatchObject({ code: "invalid_value", param: "model" });
  });

  it.each(["llama-all-biases", "gemma3-old-form", "mistral-window-of-one", "qwen3-yarn-tied-bf16"])(
    "generates what transformers does: %s",
    async (name) => {
      const [prompt, token] = nextOf(await writeTinyDecoder(bench.local(id), name));
      expect(await firstToken(await bench.open(), prompt)).toBe(token);
    },
  );

  it("may have its weights in several files", async () => {
    const expected = await writeTinyDecoder(bench.local(id));
    const shards = await writeInShards(bench.local(id), bench.local(id));
    await rm(path.join(bench.local(id), "model.safetensors"));
    const [prompt, token] = nextOf(expected);
    expect(await firstToken(await bench.open(), prompt)).toBe(token);
    await rm(path.join(bench.local(id), shards[1] ?? ""));
    expect(stateOf(await bench.open(), id)).toMatchObject({
      status: "failed",
      reason: expect.stringMatching(/model-00002-of-00002.safetensors is missing/),
    });
  });

  it("may be one GGUF file, with a tokenizer of its own beside", async () => {
    await mkdir(bench.local(id));
    await copyFile(path.join(ggufs, "llama.gguf"), path.join(bench.local(id), "any.gguf"));
    await writeTinyTokenizer(bench.local(id), 24);
    const catalog = await bench.open();
    expect(stateOf(catalog, id)).toMatchObject({
      tasks: ["text-generation", "chat-completion"],
      limits: { maxTokens: 128, vocabularySize: 24 },
    });
    expect(await firstToken(catalog, [1, 5, 9])).toBeTypeOf("number");
    expect(decoderFor("text-generation", await catalog.acquire(id, never)).endTokens).toContain(2);
  });

  it("has another digest with another template, other ends, or other weights", async () => {
    await writeTinyDecoder(bench.local(id));
    const digest = async () => (await (await bench.open()).acquire(id, never)).digest;
    const digests = [await digest()];
    await change("chat_template.jinja", "{{ messages[0].content }}");
    digests.push(await digest());
    await change("generation_config.json", `{"eos_token_id": 9}`);
    digests.push(await digest());
    await writeTinyDecoder(bench.local(id), "llama-yarn");
    digests.push(await digest());
    expect(new Set(digests).size).toBe(4);
    await writeTinyDecoder(bench.local(id));
    await rm(path.join(bench.local(id), "chat_template.jinja"));
    expect(await digest()).toBe(digests[0]);
  });

  it("counts a prompt once, however many choices are made of it, and each token made", async () => {
    await writeTinyDecoder(bench.local(id));
    const model = await (await bench.open()).acquire(id, never);
    const counted = { prompt: 0, generated: 0 };
    const parameters = { n: 3, max_tokens: 6, logit_bias: { "2": -100 } };
    const request = { task: "text-generation" as const, inputs: [[1, 5, 9]], parameters };
    const { usage } = await runner.run(textGeneration, request, model, {
      signal: never,
      onRun: (tokens) => void (counted.prompt += tokens),
      onGenerated: (tokens) => void (counted.generated += tokens),
    });
    expect(counted).toEqual({ prompt: 3, generated: 18 });
    expect(usage).toMatchObject({ promptTokens: 3, completionTokens: 18 });
  });

  it("writes again after it was unloaded", async () => {
    const [prompt, token] = nextOf(await writeTinyDecoder(bench.local(id)));
    const catalog = await bench.open();
    for (let time = 0; time < 3; time += 1) {
      expect(await firstToken(catalog, prompt)).toBe(token);
      await catalog.release(id);
      expect(stateOf(catalog, id).loaded).toBe(false);
    }
  });

  it("is read again from the graph that was kept", async () => {
    const [prompt, token] = nextOf(await writeTinyDecoder(bench.local(id)));
    await firstToken(await bench.open(), prompt);
    const catalog = await bench.open();
    const steps = new Set<string | null>();
    catalog.onChange(() => steps.add(stateOf(catalog, id).reason));
    expect(await firstToken(catalog, prompt)).toBe(token);
    expect(steps).not.toContain("Compiling for this machine");
  });
});

const twoFiles = async (folder: string) => {
  await rm(path.join(folder, "model.safetensors"));
  for (const name of ["a.gguf", "b.gguf"]) {
    await copyFile(path.join(ggufs, "llama.gguf"), path.join(folder, name));
  }
};
const withConfig = (changes: object) => async (folder: string) => {
  const file = path.join(folder, "config.json");
  const config: object = JSON.parse(await readFile(file, "utf8"));
  await writeFile(file, JSON.stringify({ ...config, ...changes }));
};

describe("a folder with a decoder that cannot be served", () => {
  it.each([
    { what: "two GGUF files", make: twoFiles, says: /it holds 2 GGUF files, a\.gguf, b\.gguf/ },
    {
      what: "another head",
      make: withConfig({ architectures: ["LlamaForSequenceClassification"] }),
      says: /no head is built for LlamaForSequenceClassification/,
    },
    {
      what: "no tokenizer",
      make: (folder: string) => rm(path.join(folder, "tokenizer.json")),
      says: /tokenizer/,
    },
    {
      what: "an index that leads elsewhere",
      async make(folder: string) {
        await rm(path.join(folder, "model.safetensors"));
        const index = { weight_map: { "model.norm.weight": "../other/model.safetensors" } };
        await writeFile(path.join(folder, "model.safetensors.index.json"), JSON.stringify(index));
      },
      says: /model\.safetensors\.index\.json cannot be used/,
    },
    {
      what: "a damaged GGUF file",
      async make(folder: string) {
        await rm(path.join(folder, "model.safetensors"));
        await writeFile(path.join(folder, "model.gguf"), "GGUF");
      },
      says: /model\.gguf/,
    },
  ])("says why: $what", async ({ make, says }) => {
    await writeTinyDecoder(bench.local(id));
    await make(bench.local(id));
    const catalog = await bench.open();
    expect(stateOf(catalog, id)).toMatchObject({
      status: "failed",
      notServable: true,
      reason: expect.stringMatching(says),
    });
  });

  it("is told when its tokenizer turns out to be another model's", async () => {
    await writeTinyDecoder(bench.local(id));
    await writeTinyTokenizer(bench.local(id), 60);
    const catalog = await bench.open();
    await expect(catalog.acquire(id, never)).rejects.toMatchObject({
      code: "model_not_servable",
      message: expect.stringMatching(/its tokenizer has 60 tokens/),
    });
  });

  it("is told where keys and values have no room", async () => {
    await writeTinyDecoder(bench.local(id));
    const catalog = await bench.open({ memory: 10_000 });
    await expect(catalog.acquire(id, never)).rejects.toMatchObject({
      code: "model_not_servable",
      message: expect.stringMatching(/it needs 1 MiB of memory/),
    });
  });

  it("needs the C API, and is refused by name without", async () => {
    await writeTinyDecoder(bench.local(id));
    const log = { info: () => undefined, warn: () => undefined };
    const runtime = await openRuntime({ log, only: "node-binding", threads: 1 });
    const catalog = await openCatalog(bench.settings, { runtime, log, now: () => 0 });
    await expect(catalog.acquire(id, never)).rejects.toMatchObject({
      code: "model_not_servable",
      message: expect.stringMatching(/decoders need ONNX Runtime's C API/),
    });
    await catalog.close();
  });
});

describe("a model asked for what the other kind does", () => {
  it("is refused by name", async () => {
    await writeTinyDecoder(bench.local(id));
    await writeTinyEncoder(bench.local("encoder"));
    const catalog = await bench.open();
    const [decoder, encoder] = [
      await catalog.acquire(id, never),
      await catalog.acquire("encoder", never),
    ];
    const embed = { task: "feature-extraction" as const, inputs: ["w3"], parameters: {} };
    await expect(
      runner.run(featureExtraction, embed, decoder, { signal: never }),
    ).rejects.toMatchObject({
      code: "invalid_value",
      message: expect.stringMatching(/^tiny does not do feature-extraction\. It does text-gen/),
    });
    const write = { task: "text-generation" as const, inputs: ["a fox"], parameters: {} };
    await expect(
      runner.run(textGeneration, write, encoder, { signal: never }),
    ).rejects.toMatchObject({
      code: "invalid_value",
      message: expect.stringMatching(/^encoder does not do text-generation/),
    });
  });

  it("is tokenised with all the same", async () => {
    await writeTinyDecoder(bench.local(id));
    const model = await (await bench.open()).acquire(id, never);
    const options = { signal: never };
    const read = { task: "tokenize" as const, inputs: ["w5 w9"], parameters: {} };
    const tokens = await runner.run(tokenize, read, model, options);
    expect(tokens.outputs).toMatchObject([{ tokens: [1, 5, 9], count: 3 }]);
    const written = { task: "detokenize" as const, inputs: [[1, 5, 9]], parameters: {} };
    const texts = await runner.run(detokenize, written, model, options);
    expect(texts.outputs).toEqual([{ text: "w5 w9" }]);
  });
});
