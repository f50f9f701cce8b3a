/** Adapters of decoders through the catalog: what is refused, and what comes and goes while others write. */
import { rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import { adaptersMax } from "../../gpu-worker/catalog/lora-base.ts";
import { sha256OfFile } from "../../gpu-worker/files/file-digest.ts";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { decoderFor } from "../../gpu-worker/model/served-model.ts";
import { chatCompletion } from "../../gpu-worker/pipelines/chat-completion.ts";
import { textGeneration } from "../../gpu-worker/pipelines/text-generation.ts";
import { type CatalogBench, never, openCatalogBench, stateOf } from "./catalog-bench.ts";
import { writeDecoderAdapter } from "./decoder-adapter.ts";
import { writeTinyDecoder } from "./tiny-decoder.ts";
import { writeTinyEncoder } from "./tiny-encoder.ts";

let bench: CatalogBench;
let runner: TaskRunner;

beforeEach(async () => {
  bench = await openCatalogBench();
  runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => performance.now() });
  await writeTinyDecoder(bench.local("tiny"));
});

afterEach(async () => {
  await runner.close();
  await bench.close();
});

const prompt = [1, 5, 9, 14, 3];

/** Greedily, with the logarithms of probabilities: two models that differ do so in these. */
async function writeBy(catalog: Catalog, id: string, tokens = 6): Promise<number[]> {
  const { model, release } = await catalog.lease(id, never);
  const request = {
    task: "text-generation" as const,
    inputs: [prompt],
    parameters: { max_tokens: tokens, temperature: 0, top_logprobs: 0, logit_bias: { "2": -100 } },
  };
  try {
    const { outputs } = await runner.run(textGeneration, request, model, { signal: never });
    return outputs[0]?.choices[0]?.logprobs?.map(({ logprob }) => logprob ?? NaN) ?? [];
  } finally {
    release();
  }
}

async function keyValueBytesOf(catalog: Catalog, id: string): Promise<number> {
  return decoderFor("text-generation", await catalog.acquire(id, never)).keyValueBytes;
}

const close = (values: readonly number[]) =>
  values.map((value): number => expect.closeTo(value, 4));
const idsOf = (catalog: Catalog) => catalog.states().map(({ id }) => id);

describe("adapters of a decoder", () => {
  it("are models of their own, which take conversations where their base does", async () => {
    await writeDecoderAdapter(bench, "folder", { own: { formatVersion: 1, id: "ft:tiny:law:1" } });
    const catalog = await bench.open();
    expect(stateOf(catalog, "ft:tiny:law:1")).toMatchObject({
      status: "available",
      tasks: ["text-generation", "chat-completion"],
    });
    const model = decoderFor("chat-completion", await catalog.acquire("ft:tiny:law:1", never));
    const inputs = [{ messages: [{ role: "user" as const, content: "w5 w9" }] }];
    const request = { task: "chat-completion" as const, inputs, parameters: { max_tokens: 2 } };
    const { usage } = await runner.run(chatCompletion, request, model, { signal: never });
    expect(usage).toMatchObject({ promptTokens: 3 });
    await writeTinyDecoder(bench.local("tiny"), undefined, { template: false });
    const plain = await bench.open();
    expect(stateOf(plain, "ft:tiny:law:1").tasks).toEqual(["text-generation"]);
  });

  it("write the same where their base keeps keys and values in int8, which was measured without them", async () => {
    await writeDecoderAdapter(bench, "own");
    const usual = await bench.open();
    const rounding = await bench.open({ kvCache: "int8" });
    expect(await writeBy(rounding, "own")).toEqual(close(await writeBy(usual, "own")));
    expect(await writeBy(rounding, "tiny")).not.toEqual(await writeBy(usual, "tiny"));
    expect(await keyValueBytesOf(rounding, "own")).toBe(await keyValueBytesOf(usual, "own"));
    expect(await keyValueBytesOf(rounding, "tiny")).toBe(
      (await keyValueBytesOf(usual, "tiny")) / 4,
    );
  });

  it("read conversations by the template that was saved with them", async () => {
    await writeDecoderAdapter(bench, "same");
    await writeDecoderAdapter(bench, "own");
    const words = "{{ bos_token }} w7 w7 {{ messages[0].content }}";
    await writeFile(path.join(bench.local("own"), "chat_template.jinja"), words);
    await writeTinyDecoder(bench.local("tiny"), undefined, { template: false });
    const catalog = await bench.open();
    const { model, release } = await catalog.lease("own", never);
    expect(stateOf(catalog, "own").tasks).toEqual(model.tasks);
    const inputs = [{ messages: [{ role: "user" as const, content: "w5 w9" }] }];
    const request = { task: "chat-completion" as const, inputs, parameters: { max_tokens: 2 } };
    const { usage } = await runner.run(chatCompletion, request, model, { signal: never });
    expect(usage).toMatchObject({ promptTokens: 4 });
    release();
    expect((await catalog.acquire("same", never)).tasks).toEqual(["text-generation"]);
    expect(stateOf(catalog, "own").digest).not.toBe(stateOf(catalog, "same").digest);
  });

  it("are served from a folder that is put there, and go with it, while others write on", async () => {
    await writeDecoderAdapter(bench, "one");
    const catalog = await bench.open();
    const [plain, one] = [await writeBy(catalog, "tiny"), await writeBy(catalog, "one")];
    expect(one).not.toEqual(close(plain));
    const ending = new AbortController();
    let wrong = 0;
    const others = ["tiny", "one"].map(async (id, at) => {
      const own = at === 0 ? plain : one;
      while (!ending.signal.aborted) {
        const written = await writeBy(catalog, id);
        if (written.some((value, place) => Math.abs(value - (own[place] ?? NaN)) > 1e-4))
          wrong += 1;
      }
    });
    for (let time = 0; time < 3; time += 1) {
      await writeDecoderAdapter(bench, "two", { seed: 2 + time, rank: 2 + 9 * time });
      await catalog.recheck();
      const two = await writeBy(catalog, "two");
      expect(two).not.toEqual(close(one));
      const { model, release } = await catalog.lease("two", never);
      await rm(bench.local("two"), { recursive: true });
      await catalog.recheck();
      expect(idsOf(catalog)).not.toContain("two");
      await expect(catalog.lease("two", never)).rejects.toMatchObject({ code: "model_not_found" });
      // Who has it has it to the end.
      const request = {
        task: "text-generation" as const,
        inputs: [prompt],
        parameters: { max_tokens: 3 },
      };
      await runner.run(textGeneration, request, model, { signal: never });
      release();
    }
    ending.abort();
    await Promise.all(others);
    expect(wrong).toBe(0);
  });

  it("may be there before their base", async () => {
    await writeDecoderAdapter(bench, "early", { config: { base_model_name_or_path: "late" } });
    const catalog = await bench.open();
    await expect(catalog.acquire("early", never)).rejects.toMatchObject({
      message: expect.stringContaining("its base late is not known"),
    });
    await writeTinyDecoder(bench.local("late"));
    await catalog.recheck();
    expect(stateOf(catalog, "early").status).toBe("available");
    bench.nowMs += 60_000;
    expect(await writeBy(catalog, "early")).toHaveLength(6);
  });

  it("are replaced where their files are", async () => {
    await writeDecoderAdapter(bench, "one");
    const catalog = await bench.open();
    const before = await writeBy(catalog, "one");
    const { digest } = stateOf(catalog, "one");
    await writeDecoderAdapter(bench, "one", { seed: 3, rank: 4 });
    await catalog.recheck();
    expect(await writeBy(catalog, "one")).not.toEqual(close(before));
    expect(stateOf(catalog, "one").digest).not.toBe(digest);
    await rename(bench.local("one"), bench.local("other"));
    await catalog.recheck();
    expect(idsOf(catalog)).toEqual(expect.arrayContaining(["other", "tiny"]));
    expect(idsOf(catalog)).not.toContain("one");
  });

  it("count with their base's memory, which has it back when the last has gone", async () => {
    await writeDecoderAdapter(bench, "one", { rank: 16 });
    const catalog = await bench.open();
    const base = await catalog.acquire("tiny", never);
    const plain = base.bytes;
    await catalog.acquire("one", never);
    expect(base.bytes).toBeGreaterThan(1.5 * plain);
    await catalog.release("tiny");
    expect(stateOf(catalog, "tiny").loaded).toBe(true);
    await catalog.release("one");
    expect(base.bytes).toBe(plain);
  });

  it("are so many at a time: one that nobody uses makes way, and where none does the next is told", async () => {
    const ids = Array.from({ length: adaptersMax + 1 }, (_, at) => `lora-${at}`);
    for (const [at, id] of ids.entries()) await writeDecoderAdapter(bench, id, { seed: at });
    const catalog = await bench.open();
    const leases = [];
    for (const id of ids.slice(0, adaptersMax)) leases.push(await catalog.lease(id, never));
    const last = ids.at(-1) ?? "";
    await expect(catalog.lease(last, never)).rejects.toMatchObject({
      code: "model_unavailable",
      message: expect.stringContaining(
        `${last} cannot be served: its base is run with ${adaptersMax}`,
      ),
    });
    leases[4]?.release();
    bench.nowMs += 60_000;
    await catalog.lease(last, never);
    expect(stateOf(catalog, "lora-4").loaded).toBe(false);
    expect(stateOf(catalog, "lora-5").loaded).toBe(true);
  });

  it("are found by the weights of their base, whatever it is called, and refused on others", async () => {
    const weights = await sha256OfFile(path.join(bench.local("tiny"), "model.safetensors"), never);
    for (const [id, base_digest] of Object.entries({ right: weights, foreign: "f".repeat(64) })) {
      await writeDecoderAdapter(bench, id, { own: { formatVersion: 1, base_digest } });
    }
    const catalog = await bench.open();
    await writeBy(catalog, "right");
    await expect(catalog.acquire("foreign", never)).rejects.toMatchObject({
      code: "model_not_servable",
      message: expect.stringContaining(`the weights of tiny here have ${weights}`),
    });
  });
});

const layer = "base_model.model.model.layers.1";
const odd: readonly {
  what: string;
  reason: RegExp;
  config?: object;
  tensors?: Record<string, number[]>;
}[] = [
  {
    what: "DoRA",
    config: { use_dora: true },
    reason: /adapter_config\.json: use_dora is not served/,
  },
  { what: "a bias", config: { bias: "all" }, reason: /bias "all" is not served: only "none" is/ },
  {
    what: "whole layers",
    config: { modules_to_save: ["lm_head"] },
    reason: /modules_to_save \["lm_head"\] is not served/,
  },
  { what: "another kind", config: { peft_type: "IA3" }, reason: /peft_type IA3 is not served/ },
  {
    what: "trained tokens",
    config: { trainable_token_indices: [3] },
    reason: /trainable_token_indices is not served/,
  },
  {
    what: "a start that changes the base",
    config: { init_lora_weights: "pissa" },
    reason: /init_lora_weights "pissa" changes the base/,
  },
  {
    what: "an embedding",
    tensors: { "base_model.model.model.embed_tokens.lora_embedding_A": [2, 41] },
    reason: /embed_tokens\.lora_embedding_A is not served: only layers of LoRA are/,
  },
  {
    what: "a whole embedding",
    tensors: { "base_model.model.model.embed_tokens.weight": [41, 24] },
    reason: /embed_tokens\.weight is not served: only layers of LoRA are/,
  },
  {
    what: "an output layer",
    tensors: {
      "base_model.model.lm_head.lora_A.weight": [2, 24],
      "base_model.model.lm_head.lora_B.weight": [41, 2],
    },
    reason: /it changes lm_head, which is no layer of its base that can be changed here/,
  },
  {
    what: "a layer of other sizes",
    tensors: {
      [`${layer}.self_attn.k_proj.lora_A.weight`]: [2, 25],
      [`${layer}.self_attn.k_proj.lora_B.weight`]: [18, 2],
    },
    reason: /self_attn\.k_proj is \[18, 25\] in it and \[18, 24\] in its base/,
  },
  { what: "another rank", config: { r: 3 }, reason: /has ranks 2 and 2, the configuration says 3/ },
  {
    what: "too large a rank",
    config: { r: 129 },
    reason: /adapter_config\.json cannot be used[\s\S]*128/,
  },
  {
    what: "a base that nobody knows",
    config: { base_model_name_or_path: "nowhere" },
    reason: /its base nowhere is not known to this worker/,
  },
  {
    what: "an encoder as its base",
    config: { base_model_name_or_path: "encoder" },
    reason: /its base encoder is no decoder/,
  },
  {
    what: "an adapter as its base",
    config: { base_model_name_or_path: "sound" },
    reason: /its base sound is not known to this worker/,
  },
];

describe("a folder with an adapter of a decoder that cannot be served", () => {
  it("says why", async () => {
    await writeTinyEncoder(bench.local("encoder"));
    await writeDecoderAdapter(bench, "sound");
    for (const [at, { config = {}, tensors = {} }] of odd.entries()) {
      await writeDecoderAdapter(bench, `odd-${at}`, { config, tensors });
    }
    const catalog = await bench.open();
    for (const [at, { what, reason }] of odd.entries()) {
      const asked = catalog.acquire(`odd-${at}`, never);
      await expect(asked, what).rejects.toMatchObject({ code: "model_not_servable" });
      expect(stateOf(catalog, `odd-${at}`).reason, what).toMatch(reason);
    }
    await writeBy(catalog, "sound");
  });
});
