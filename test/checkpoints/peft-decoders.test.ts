/**
 * Adapters of decoders that PEFT saved, through the catalog and the engine, against what PEFT and transformers computed
 * with them (peft-decoders/make_adapters.py): logits within 1e-3, the same greedy tokens, alone and in one batch with
 * others of the base and with none.
 */
import { readFileSync } from "node:fs";
import { cp } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import type { LoadedDecoder } from "../../gpu-worker/catalog/loaded-model.ts";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { nextTokens, wholeText } from "../../gpu-worker/model/decoder-feeds.ts";
import { textGeneration } from "../../gpu-worker/pipelines/text-generation.ts";
import { int64 } from "../../gpu-worker/tensor/tensor.ts";
import { type CatalogBench, never, openCatalogBench, stateOf } from "../catalog/catalog-bench.ts";
import { sharedFolder } from "../catalog/shared-folder.ts";
import { writeTinyDecoder } from "../catalog/tiny-decoder.ts";

const adapters = path.join(import.meta.dirname, "peft-decoders");
/** The promise is 1e-3: a slip in one term cannot hide in a tenth of it. */
const tolerance = 1e-4;

const Expected = z.record(
  z.string(),
  z.object({
    base: z.string(),
    texts: z.array(
      z.object({
        ids: z.array(z.int()),
        logits: z.array(z.array(z.number())),
        greedy: z.array(z.int()),
      }),
    ),
  }),
);
const expected = Expected.parse(
  JSON.parse(readFileSync(path.join(adapters, "expected.json"), "utf8")),
);
const isShared = ({ base }: { base: string }) => base.startsWith("shared/");
const served = Object.entries(expected).filter(
  ([, each]) => sharedFolder !== null || !isShared(each),
);
if (sharedFolder === null) console.info("Skipped: adapters of ../shared/models, not here");
const baseId = (base: string) => base.replace("shared/", "tiny-");
const llamas = ["llama-query-value", "llama-every-layer", "llama-down-in-one"] as const;

let bench: CatalogBench;
let catalog: Catalog;
const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => performance.now() });

beforeAll(async () => {
  bench = await openCatalogBench();
  for (const base of new Set(served.map(([, each]) => each.base))) {
    await writeTinyDecoder(bench.local(baseId(base)), base);
  }
  for (const [name] of served)
    await cp(path.join(adapters, name), bench.local(name), { recursive: true });
  catalog = await bench.open();
});

afterAll(async () => {
  await runner.close();
  await bench.close();
});

async function acquireDecoder(id: string, from = catalog): Promise<LoadedDecoder> {
  const model = await from.acquire(id, never);
  if (model.kind !== "decoder") throw new Error(`${id} is no decoder`);
  return model;
}

/** Of all tokens, one text's behind the other's. */
async function logitsOf({ session, adapter }: LoadedDecoder, ids: number[]): Promise<number[]> {
  const own = adapter === undefined ? {} : { lora_slots: int64([1], [adapter]) };
  const { logits } = await session.run({ ...wholeText(session, ids), ...own });
  return Array.from(logits?.data ?? [], Number);
}

function farthest(a: readonly number[], b: readonly number[]): number {
  expect(a.length).toBe(b.length);
  return Math.max(...a.map((value, at) => Math.abs(value - (b[at] ?? NaN))));
}

/** Greedily. */
async function write(model: LoadedDecoder, prompts: readonly number[][], tokens = 10) {
  const parameters = { max_tokens: tokens, temperature: 0, top_logprobs: 1 };
  const request = { task: "text-generation" as const, inputs: [...prompts], parameters };
  const free = { ...model, endTokens: new Set<number>() };
  const { outputs } = await runner.run(textGeneration, request, free, { signal: never });
  return outputs.map(({ choices: [choice] }) => choice?.logprobs ?? []);
}

describe("an adapter of a decoder that PEFT saved", () => {
  it.each(served)("%s gives PEFT's logits and greedy tokens", async (name, { base, texts }) => {
    const model = await acquireDecoder(name);
    for (const { ids, logits } of texts) {
      expect(farthest(await logitsOf(model, ids), logits.flat())).toBeLessThan(tolerance);
    }
    const written = await write(
      model,
      texts.map(({ ids }) => ids),
    );
    for (const [at, { greedy }] of texts.entries()) {
      expect(written[at]?.map(({ id }) => id)).toEqual(greedy);
    }
    // Its base goes on as it was.
    const plain = await acquireDecoder(baseId(base));
    const [first] = texts;
    const own = await logitsOf(plain, first?.ids ?? []);
    expect(farthest(own, first?.logits.flat() ?? [])).toBeGreaterThan(0.01);
  });

  it("gets in one step with others, and with none, to the bit what it gets alone", async () => {
    for (const form of ["f32", "int8"] as const) {
      const opened = form === "f32" ? catalog : await bench.open({ form });
      const models = await Promise.all(llamas.map((id) => acquireDecoder(id, opened)));
      const session = models[0]?.session;
      if (session === undefined) throw new Error("no session");
      expect(new Set(models.map((each) => each.session)).size).toBe(1);
      const numbers = [0, ...models.map(({ adapter = 0 }) => adapter)];
      const mixed = Array.from({ length: 16 }, (_, at) => numbers[(at * 7) % 4] ?? 0);
      const step = async (own: readonly number[]) => {
        const input_ids = int64(
          [own.length, 1],
          own.map(() => 7),
        );
        const lora_slots = int64([own.length], own);
        const fed = { ...nextTokens(session, own.length, 5), input_ids, lora_slots };
        const { logits } = await session.run(fed);
        return Array.from(logits?.data ?? [], Number);
      };
      const together = await step(mixed);
      const width = together.length / mixed.length;
      for (const [at, adapter] of mixed.entries()) {
        const alone = await step([adapter]);
        expect(together.slice(at * width, (at + 1) * width)).toEqual(alone);
      }
      const plain = await acquireDecoder("llama-all-biases", opened);
      const input_ids = int64([1, 1], [7]);
      const { logits } = await plain.session.run({ ...nextTokens(plain.session, 1, 5), input_ids });
      const own = await step([0]);
      expect(own).toEqual(Array.from(logits?.data ?? [], Number));
      expect(farthest(own, await step(numbers.slice(1, 2)))).toBeGreaterThan(0.01);
    }
  });

  it("writes beside others what it writes alone, and never goes on from their prompts", async () => {
    const models = await Promise.all(llamas.map((id) => acquireDecoder(id)));
    const prompts = [5, 11, 17].map((from) =>
      Array.from({ length: 12 }, (_, at) => 3 + ((from * at) % 38)),
    );
    const alone = [];
    for (const model of models) {
      const fresh = await bench.open();
      alone.push(await write(await acquireDecoder(model.id, fresh), prompts));
      await fresh.close();
    }
    const rounds = await Promise.all(
      [0, 1, 2].flatMap(() => models.map((model) => write(model, prompts))),
    );
    for (const [at, texts] of rounds.entries()) {
      for (const [text, tokens] of texts.entries()) {
        const own = alone[at % 3]?.[text] ?? [];
        expect(tokens.map(({ id }) => id)).toEqual(own.map(({ id }) => id));
        const [found, wanted] = [tokens, own].map((all) =>
          all.map(({ logprob }) => logprob ?? NaN),
        );
        // Sums in another order, of f32. Another's adapter is a hundred times as far away.
        expect(farthest(found ?? [], wanted ?? [])).toBeLessThan(1e-4);
      }
    }
  });

  it("finds its own prompt again, and not another adapter's", async () => {
    const models = await Promise.all(llamas.map((id) => acquireDecoder(id)));
    const prompt = Array.from({ length: 14 }, (_, at) => 3 + ((at * 5) % 38));
    const cachedOf = async (model: LoadedDecoder) => {
      const request = {
        task: "text-generation" as const,
        inputs: [prompt],
        parameters: { max_tokens: 1 },
      };
      const { usage } = await runner.run(textGeneration, request, model, {
        signal: never,
        tenant: "one",
      });
      return usage.cachedTokens ?? 0;
    };
    const cached = [];
    for (const model of [...models, ...models]) cached.push(await cachedOf(model));
    expect(cached).toEqual([0, 0, 0, 13, 13, 13]);
  });

  it("does what its base does, under a digest of both", async () => {
    const [one, two] = await Promise.all(llamas.slice(0, 2).map((id) => acquireDecoder(id)));
    const base = await acquireDecoder("llama-all-biases");
    expect(new Set([base.digest, one?.digest, two?.digest]).size).toBe(3);
    expect(stateOf(catalog, "llama-query-value")).toMatchObject({
      status: "available",
      tasks: base.tasks,
      limits: base.limits,
      digest: one?.digest,
    });
    const short = await bench.open({ contextTokens: 8 });
    const other = await acquireDecoder("llama-query-value", short);
    expect(other.digest).not.toBe(one?.digest);
  });
});
