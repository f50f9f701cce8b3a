/**
 * The shipped tagger: on the upstream base what PEFT and transformers compute of it (made/make_ner_en.py), on the base
 * that ships beside it the entities of known sentences, in each form.
 */
import { existsSync, readFileSync } from "node:fs";
import { symlink } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import * as z from "zod";
import type { Entity } from "#contract/tasks/token-classification.ts";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { tokenClassification } from "../../gpu-worker/pipelines/token-classification.ts";
import { softmax } from "../../gpu-worker/tensor/activations.ts";
import { acquireEncoder } from "./acquire-encoder.ts";
import { type CatalogBench, never, openCatalogBench } from "./catalog-bench.ts";

const upstream = path.resolve(import.meta.dirname, "../../../shared/models/all-MiniLM-L6-v2");
const Made = z.object({
  labels: z.array(z.string()),
  texts: z.array(z.object({ text: z.string(), logits: z.array(z.array(z.number())) })),
});
const made = Made.parse(
  JSON.parse(readFileSync(path.join(import.meta.dirname, "made/ner-en.json"), "utf8")),
);

let bench: CatalogBench;

beforeAll(async () => {
  bench = await openCatalogBench();
});

afterAll(() => bench.close());

async function find(
  catalog: Catalog,
  inputs: readonly string[],
  parameters: { aggregation_strategy: "none" | "first"; ignore_labels?: string[] },
): Promise<Entity[][]> {
  const model = await acquireEncoder(catalog, "ner-en");
  const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });
  const request = { task: "token-classification" as const, inputs: [...inputs], parameters };
  return (await runner.run(tokenClassification, request, model, { signal: never })).outputs;
}

/** Its class and its probability. */
function surest(logits: readonly number[]) {
  const scores = softmax(Float32Array.from(logits));
  const score = Math.max(...scores);
  return { entity: made.labels[scores.indexOf(score)], score };
}

it.skipIf(!existsSync(upstream))("answers as PEFT does, words' shapes added", async () => {
  await symlink(upstream, bench.local("all-MiniLM-L6-v2"));
  const texts = made.texts.map(({ text }) => text);
  const every = { aggregation_strategy: "none", ignore_labels: [] } as const;
  const found = await find(await bench.open(), texts, { ...every, ignore_labels: [] });
  for (const [at, { logits }] of made.texts.entries()) {
    const said = found[at] ?? [];
    expect(said.map(({ entity }) => entity)).toEqual(logits.map((own) => surest(own).entity));
    for (const [token, { score }] of said.entries()) {
      expect(score).toBeCloseTo(surest(logits[token] ?? []).score, 3);
    }
  }
});

const known = {
  "Angela Merkel met Emmanuel Macron in Paris.": [
    "Angela Merkel PER",
    "Emmanuel Macron PER",
    "Paris LOC",
  ],
  "The European Commission fined Microsoft.": ["European Commission ORG", "Microsoft ORG"],
  "She lives in Germany with her French husband.": ["Germany LOC", "French MISC"],
  // Of classes that contradict each other, the likeliest of those that fit.
  "Ekeus of the U.N. met J. Smith of the U.S. in St. Petersburg.": [
    "Ekeus PER",
    "U.N ORG",
    "J. Smith PER",
    "U.S LOC",
    "St. Petersburg LOC",
  ],
  "They met in the garden and said nothing.": [],
};

it.each(["f32", "int8"] as const)("finds the entities of known sentences in %s", async (form) => {
  const catalog = await bench.open({ form, modelsFolder: null });
  const found = await find(catalog, Object.keys(known), { aggregation_strategy: "first" });
  const said = found.map((list) => list.map(({ word, entity_group: group }) => `${word} ${group}`));
  expect(said).toEqual(Object.values(known));
});
