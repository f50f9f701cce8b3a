/**
 * Soft prompts that PEFT saved, through the catalog and the engine, against what PEFT and transformers computed with
 * them (peft-prompts/make_prompts.py): logits within 1e-4, the same greedy tokens, in one batch with each other, with
 * their base and beside adapters of low rank; and what callers see of virtual tokens, which is nothing.
 */
import { readFileSync } from "node:fs";
import { cp, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import type { LoadedDecoder } from "../../gpu-worker/catalog/loaded-model.ts";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { emptyCache, noPiece, wholeText } from "../../gpu-worker/model/decoder-feeds.ts";
import { isVirtual } from "../../gpu-worker/model/virtual-tokens.ts";
import { textGeneration } from "../../gpu-worker/pipelines/text-generation.ts";
import { int64, tensor } from "../../gpu-worker/tensor/tensor.ts";
import { writeSafetensors } from "../../gpu-worker/weights/safetensors-writer.ts";
import { type CatalogBench, never, openCatalogBench, stateOf } from "../catalog/catalog-bench.ts";
import { writeDecoderAdapter } from "../catalog/decoder-adapter.ts";
import { writeTinyDecoder } from "../catalog/tiny-decoder.ts";
import { watchSteps } from "../llm/watch-steps.ts";

const made = path.join(import.meta.dirname, "peft-prompts");
const tolerance = 1e-4;

const Text = z.object({
  ids: z.array(z.int()),
  logits: z.array(z.array(z.number())),
  greedy: z.array(z.int()),
});
const Expected = z.record(z.string(), z.object({ base: z.string(), texts: z.array(Text) }));
const expected = Expected.parse(JSON.parse(readFileSync(path.join(made, "expected.json"), "utf8")));
const llamas = ["llama-five", "llama-nine"] as const;
const llama = "llama-all-biases";

let bench: CatalogBench;
let catalog: Catalog;
const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => performance.now() });

beforeAll(async () => {
  bench = await openCatalogBench();
  for (const [name, { base }] of Object.entries(expected)) {
    await writeTinyDecoder(bench.local(base), base);
    await cp(path.join(made, name), bench.local(name), { recursive: true });
  }
  await writeDecoderAdapter(bench, "lora", { config: { base_model_name_or_path: llama } });
  catalog = await bench.open();
});

afterAll(async () => {
  await runner.close();
  await bench.close();
});

async function acquireDecoder(id: string): Promise<LoadedDecoder> {
  const model = await catalog.acquire(id, never);
  if (model.kind !== "decoder") throw new Error(`${id} is no decoder`);
  return model;
}

/** Of a text's own tokens. */
async function logitsOf({ session, softPrompt = [] }: LoadedDecoder, ids: readonly number[]) {
  const { logits } = await session.run(wholeText(session, [...softPrompt, ...ids]));
  const width = logits?.shape[1] ?? 0;
  return Array.from(logits?.data ?? [], Number).slice(softPrompt.length * width);
}

function farthest(a: readonly number[], b: readonly number[]): number {
  expect(a.length).toBe(b.length);
  return Math.max(...a.map((value, at) => Math.abs(value - (b[at] ?? NaN))));
}

/** `seed` changes nothing that is written, and tells whose a text is. */
type Asking = { tokens?: number; tenant?: string; echo?: boolean; seed?: number };

async function write(
  model: LoadedDecoder,
  inputs: readonly (readonly number[])[],
  { tokens = 8, tenant, echo = false, seed = 0 }: Asking = {},
) {
  const request = {
    task: "text-generation" as const,
    inputs: inputs.map((ids) => [...ids]),
    parameters: { max_tokens: tokens, temperature: 0, top_logprobs: 0, echo, seed },
  };
  const free = { ...model, endTokens: new Set<number>() };
  let charged = 0;
  const { outputs, usage } = await runner.run(textGeneration, request, free, {
    signal: never,
    ...(tenant !== undefined && { tenant }),
    onRun: (count) => (charged += count),
  });
  const logprobs = outputs.map(({ choices: [choice] }) => choice?.logprobs ?? []);
  return { logprobs, ids: logprobs.map((own) => own.map(({ id }) => id)), usage, charged };
}

describe("a soft prompt that PEFT saved", () => {
  it.each(Object.entries(expected))("%s gives PEFT's logits", async (name, { base, texts }) => {
    const model = await acquireDecoder(name);
    for (const { ids, logits } of texts) {
      expect(farthest(await logitsOf(model, ids), logits.flat())).toBeLessThan(tolerance);
    }
    const { ids: greedy } = await write(
      model,
      texts.map(({ ids }) => ids),
    );
    expect(greedy).toEqual(texts.map((text) => text.greedy));
    const plain = await acquireDecoder(base);
    const [{ ids, logits } = { ids: [], logits: [] }] = texts;
    expect(farthest(await logitsOf(plain, ids), logits.flat())).toBeGreaterThan(0.01);
  });

  it("gets in one run with another, and with none, what it gets alone", async () => {
    const models = await Promise.all([...llamas, llama].map((id) => acquireDecoder(id)));
    const [{ session } = await acquireDecoder(llama)] = models;
    const ids = [7, 30, 12, 9];
    const texts = models.map(({ softPrompt = [] }) => [...softPrompt, ...ids]);
    const lengths = texts.map((text) => text.length);
    const longest = Math.max(...lengths);
    const padded = texts.map((text) => [...text, ...Array.from({ length: longest }, () => 0)]);
    const { logits } = await session.run({
      input_ids: int64(
        [texts.length, longest],
        padded.flatMap((text) => text.slice(0, longest)),
      ),
      lengths: tensor("int32", [texts.length], Int32Array.from(lengths)),
      total_length: tensor("int32", [], Int32Array.of(longest)),
      positions: int64(
        [texts.length],
        lengths.map((length, at) => at * longest + length - 1),
      ),
      ...noPiece,
      ...emptyCache(session, texts.length, longest),
    });
    const rows = Array.from(logits?.data ?? [], Number);
    const size = rows.length / texts.length;
    for (const [at, model] of models.entries()) {
      const alone = (await logitsOf(model, ids)).slice(-size);
      expect(farthest(rows.slice(at * size, (at + 1) * size), alone)).toBeLessThan(1e-6);
    }
  });

  it("writes in the batches of its base, beside others, what it writes alone", async () => {
    const ids = [...llamas, llama, "lora"];
    const models = await Promise.all(ids.map((id) => acquireDecoder(id)));
    const [five, nine, base, lora] = models;
    expect(five?.session).toBe(base?.session);
    expect(nine?.session).toBe(base?.session);
    expect(lora?.session).not.toBe(base?.session);
    const prompts = [5, 11, 17].map((from) => [from, from + 20, from + 4]);
    const tokens = 18;
    const alone = [];
    for (const model of models) alone.push((await write(model, prompts, { tokens })).ids);
    const steps = watchSteps();
    const rounds = await Promise.all(
      [0, 1, 2].flatMap(() => models.map((model, seed) => write(model, prompts, { tokens, seed }))),
    );
    steps.stop();
    for (const [at, { ids: written }] of rounds.entries()) expect(written).toEqual(alone[at % 4]);
    expect(Math.max(...steps.seeds.map(({ size }) => size))).toBeGreaterThan(1);
  });

  it("shows, counts and charges its caller's tokens alone, and keeps its beginning", async () => {
    const [five, nine] = await Promise.all(llamas.map((id) => acquireDecoder(id)));
    if (five === undefined || nine === undefined) throw new Error("two are there");
    const prompt = Array.from({ length: 14 }, (_, at) => 3 + ((at * 5) % 38));
    const tenant = "one";
    const first = await write(five, [prompt], { tokens: 2, tenant, echo: true });
    expect(first.ids[0]?.slice(0, 14)).toEqual(prompt);
    expect(first.usage).toEqual({ promptTokens: 14, completionTokens: 2 });
    expect(first.charged).toBe(14);
    const scores = first.logprobs[0]?.map(({ logprob }) => logprob) ?? [];
    const [rows, width] = [await logitsOf(five, prompt), 41];
    expect(scores[0]).toBeNull();
    for (const at of [1, 7, 13]) {
      const row = rows.slice((at - 1) * width, at * width);
      const normaliser = Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
      expect(scores[at]).toBeCloseTo((row[prompt[at] ?? 0] ?? NaN) - normaliser, 4);
    }
    const base = await acquireDecoder(llama);
    const cached = [];
    for (const model of [five, nine, base, five, nine, base]) {
      const { usage } = await write(model, [prompt], { tokens: 1, tenant });
      cached.push(usage.cachedTokens ?? 0);
    }
    expect(cached).toEqual([13, 0, 0, 13, 13, 13]);
  });

  it("counts in the length that its base takes", async () => {
    const [base, nine] = [await acquireDecoder(llama), await acquireDecoder("llama-nine")];
    expect(nine.limits.maxTokens).toBe(base.limits.maxTokens - 9);
    expect(stateOf(catalog, "llama-nine").limits).toEqual(nine.limits);
    const whole = Array.from({ length: nine.limits.maxTokens - 1 }, (_, at) => 3 + (at % 38));
    expect((await write(nine, [whole], { tokens: 1 })).ids[0]).toHaveLength(1);
    // The engine, which all share, takes what the base takes.
    const longer = Array.from({ length: base.limits.maxTokens - 1 }, (_, at) => 3 + (at % 38));
    expect((await write(base, [longer], { tokens: 1 })).ids[0]).toHaveLength(1);
    const asked = write(nine, [[...whole, 3]], { tokens: 1 });
    await expect(asked).rejects.toMatchObject({ code: "context_length_exceeded" });
    const virtual = write(base, [[3, nine.softPrompt?.[0] ?? 0]], { tokens: 1 });
    await expect(virtual).rejects.toMatchObject({ code: "invalid_value" });
  });

  it("comes, changes and goes while others write; nothing of one that went is found again", async () => {
    const prompt = Array.from({ length: 12 }, (_, at) => 3 + ((at * 7) % 38));
    const base = await acquireDecoder(llama);
    const plain = (await write(base, [prompt])).ids;
    const before: number[] = [];
    for (const from of llamas) {
      await cp(path.join(made, from), bench.local("moving"), { recursive: true });
      await catalog.recheck();
      const { model, release } = await catalog.lease("moving", never);
      if (model.kind !== "decoder") throw new Error("no decoder");
      const { usage, ids } = await write(model, [prompt], { tenant: "one" });
      expect(usage.cachedTokens).toBeUndefined();
      expect(ids).toEqual((await write(await acquireDecoder(from), [prompt])).ids);
      expect(model.softPrompt?.every(isVirtual)).toBe(true);
      expect(before.filter((id) => model.softPrompt?.includes(id))).toEqual([]);
      before.push(...(model.softPrompt ?? []));
      release();
      await rm(bench.local("moving"), { recursive: true });
      await catalog.recheck();
      expect((await write(base, [prompt])).ids).toEqual(plain);
    }
    const gone = base.session.run(wholeText(base.session, before.slice(0, 1)));
    await expect(gone).rejects.toThrow("was removed");
  });
});

const width = 24;
const odd = [
  ["a method unknown", { peft_type: "PREFIX_TUNING" }, {}, /only LORA and PROMPT_TUNING are/],
  ["no count", { num_virtual_tokens: undefined }, {}, /num_virtual_tokens is missing/],
  ["too many", { num_virtual_tokens: 1_001 }, {}, /num_virtual_tokens/],
  ["another count", { num_virtual_tokens: 3 }, {}, /is \[5, 24\], expected \[3, hidden size\]/],
  ["modules", { modules_to_save: ["lm_head"] }, {}, /only a soft prompt is/],
  ["two submodules", { num_transformer_submodules: 2 }, {}, /only 1 is/],
  ["another tensor", {}, { "base_model.lm_head.weight": [2, width] }, /only prompt_embeddings is/],
  ["no numbers", {}, { prompt_embeddings: [5, width, NaN] }, /not finite/],
  ["another width", {}, { prompt_embeddings: [5, 8] }, /have 8 numbers each, those of .* 24/],
  ["too long", { num_virtual_tokens: 31 }, { prompt_embeddings: [31, width] }, /leave no room/],
] as const;

describe("a folder with a soft prompt that cannot be served", () => {
  it("says why", async () => {
    const from = bench.local("llama-five");
    const config = JSON.parse(await readFile(path.join(from, "adapter_config.json"), "utf8"));
    for (const [at, [, changes, tensors]] of odd.entries()) {
      const folder = bench.local(`odd-${at}`);
      await cp(from, folder, { recursive: true });
      const file = path.join(folder, "adapter_config.json");
      await writeFile(file, JSON.stringify({ ...config, ...changes }));
      if (Object.keys(tensors).length === 0) continue;
      const shapes: Record<string, readonly number[]> = {
        prompt_embeddings: [5, width],
        ...tensors,
      };
      await writeSafetensors(
        path.join(folder, "adapter_model.safetensors"),
        Object.entries(shapes).map(([name, [rows = 0, columns = 0, value = 0.5]]) => ({
          name,
          dtype: "float32" as const,
          shape: [rows, columns],
          load: () => new Float32Array(rows * columns).fill(value),
        })),
      );
    }
    await catalog.recheck();
    for (const [at, [what, , , reason]] of odd.entries()) {
      const asked = catalog.acquire(`odd-${at}`, never);
      await expect(asked, what).rejects.toMatchObject({ code: "model_not_servable" });
      expect(stateOf(catalog, `odd-${at}`).reason, what).toMatch(reason);
    }
    expect((await write(await acquireDecoder("llama-five"), [[5, 6, 7]])).ids).toHaveLength(1);
  });
});
