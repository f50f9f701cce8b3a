/**
 * Adapters that PEFT saved, through the catalog, against what PEFT and transformers computed with them
 * (peft-adapters/make_adapters.py): within 1e-4, alone and in one batch with others of the base and with none.
 */
import { existsSync, readFileSync } from "node:fs";
import { cp, readFile, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import type { LoadedEncoder } from "../../gpu-worker/catalog/loaded-model.ts";
import { sha256OfFile } from "../../gpu-worker/files/file-digest.ts";
import type { EncoderRow, RowResult } from "../../gpu-worker/model/encoder-row.ts";
import { runRows } from "../../gpu-worker/model/run-rows.ts";
import { linearLogits } from "../../gpu-worker/pipelines/linear-head.ts";
import { writeBareEncoder } from "./bare-encoder.ts";
import { acquireEncoder } from "../catalog/acquire-encoder.ts";
import {
  type CatalogBench,
  never,
  openCatalogBench,
  stateOf,
  until,
} from "../catalog/catalog-bench.ts";

const adapters = path.join(import.meta.dirname, "peft-adapters");
const bases = path.join(import.meta.dirname, "library-checkpoints");
const minilm = path.resolve(import.meta.dirname, "../../../shared/models/all-MiniLM-L6-v2");
const tolerance = 1e-4;

const Expected = z.record(
  z.string(),
  z.object({
    base: z.string(),
    labels: z.int(),
    texts: z.array(z.object({ ids: z.array(z.int()), logits: z.array(z.array(z.number())) })),
  }),
);
const expected = Expected.parse(
  JSON.parse(readFileSync(path.join(adapters, "expected.json"), "utf8")),
);
const served = Object.entries(expected).filter(
  ([, { base }]) => base !== "minilm" || existsSync(minilm),
);
const baseId = (family: string) => `${family}-base`;
const tunedId = (name: string) => `ft:${expected[name]?.base}:${name}:1`;

/** The folder of the checkpoint that has a family's encoder. */
const taggerOf = (family: string) =>
  path.join(bases, family.endsWith("-answers") ? family : `${family}-tags`);

const taskOf = (family: string) =>
  family.endsWith("-answers") ? "question-answering" : "token-classification";

async function writeAdapterFolder(bench: CatalogBench, name: string): Promise<void> {
  const { base = "", labels = 0 } = expected[name] ?? {};
  const weights = path.join(bench.local(baseId(base)), "model.safetensors");
  const folder = bench.local(name);
  await cp(path.join(adapters, name), folder, { recursive: true });
  const own = {
    formatVersion: 1,
    id: tunedId(name),
    task: taskOf(base),
    labels: base.endsWith("-answers")
      ? ["start", "end"]
      : Array.from({ length: labels }, (_, at) => `L${at}`),
    problem: "single_label",
    pooling: "none",
    max_length: 64,
    base_digest: await sha256OfFile(weights, never),
  };
  await writeFile(path.join(folder, "llm-os.json"), JSON.stringify(own));
}

const outputs = ["last_hidden_state"] as const;

/** Logits of each token. */
function logitsOf({ head }: LoadedEncoder, { last_hidden_state: states }: RowResult): number[][] {
  const linear = "linear" in head ? (head.linear ?? null) : null;
  if (linear === null || states === undefined) throw new Error("no head");
  const width = linear.weight.length / linear.bias.length;
  return Array.from({ length: states.length / width }, (_, at) => [
    ...linearLogits(states.subarray(at * width, (at + 1) * width), linear),
  ]);
}

function farthest(a: readonly number[][], b: readonly number[][]): number {
  expect(a.map((row) => row.length)).toEqual(b.map((row) => row.length));
  const pairs = a.flatMap((row, at) => row.map((value, column) => [value, b[at]?.[column] ?? NaN]));
  return Math.max(...pairs.map(([one = NaN, other = NaN]) => Math.abs(one - other)));
}

function rowsOf(name: string, adapter: number | undefined): EncoderRow[] {
  const own = adapter === undefined ? {} : { adapter };
  return (expected[name]?.texts ?? []).map(({ ids }) => ({ ids, outputs, ...own }));
}

let bench: CatalogBench;
let catalog: Catalog;

beforeAll(async () => {
  bench = await openCatalogBench();
  const families = new Set(served.map(([, { base }]) => base));
  for (const family of families) {
    const folder = bench.local(baseId(family));
    if (family === "minilm") await symlink(minilm, folder);
    else await writeBareEncoder(folder, taggerOf(family));
  }
  for (const [name] of served) await writeAdapterFolder(bench, name);
  catalog = await bench.open();
});

afterAll(() => bench.close());

describe("an adapter of PEFT's", () => {
  it.each(served)("%s answers as PEFT does", async (name, { texts }) => {
    const model = await acquireEncoder(catalog, tunedId(name));
    const results = await runRows(rowsOf(name, model.adapter), model, never);
    for (const [at, result] of results.entries()) {
      const logits = logitsOf(model, result);
      expect(farthest(logits, texts[at]?.logits ?? [])).toBeLessThan(tolerance);
    }
  });

  it("shares a batch with others of its base, of other layers and ranks, and with none", async () => {
    const names = ["bert-query-value", "bert-all-linear", "bert-patterns", "bert-one-layer"];
    const models = await Promise.all(names.map((name) => acquireEncoder(catalog, tunedId(name))));
    const sessions = new Set(models.map(({ session }) => session));
    expect(sessions.size).toBe(1);
    const own = models.map((model, at) => rowsOf(names[at] ?? "", model.adapter));
    const plain = rowsOf("bert-query-value", undefined);
    const [model] = models;
    if (model === undefined) throw new Error("no model");
    // One row of each in turn.
    const mixed = [0, 1, 2, 3].flatMap((text) =>
      [...own, plain].flatMap((rows) => rows[text] ?? []),
    );
    const results = await runRows(mixed, model, never);
    const base = await acquireEncoder(catalog, "bert-base");
    for (const [at, row] of mixed.entries()) {
      const name = names[at % 5];
      const states = results[at]?.last_hidden_state ?? new Float32Array();
      if (name === undefined) {
        const [alone] = await runRows([row], base, never);
        expect(farthest([[...states]], [[...(alone?.last_hidden_state ?? [])]])).toBeLessThan(1e-6);
      } else {
        const of = models[at % 5] ?? model;
        const logits = logitsOf(of, results[at] ?? {});
        const text = expected[name]?.texts[Math.floor(at / 5)];
        expect(farthest(logits, text?.logits ?? [])).toBeLessThan(tolerance);
        const [alone] = await runRows([row], of, never);
        expect(farthest([[...states]], [[...(alone?.last_hidden_state ?? [])]])).toBeLessThan(1e-5);
      }
    }
  });

  it("is named as its folder says, and its digest changes with what it was tuned by", async () => {
    await until(catalog, () => stateOf(catalog, tunedId("bert-query-value")).digest !== null);
    expect(stateOf(catalog, tunedId("bert-query-value"))).toMatchObject({
      tasks: ["token-classification"],
      status: "available",
    });
    const folder = bench.local("bert-louder");
    await cp(bench.local("bert-query-value"), folder, { recursive: true });
    const own = path.join(folder, "llm-os.json");
    await writeFile(own, (await readFile(own, "utf8")).replace("query-value:1", "query-value:2"));
    const config = path.join(folder, "adapter_config.json");
    const text = (await readFile(config, "utf8")).replace('"lora_alpha": 8', '"lora_alpha": 80');
    await writeFile(config, text);
    const again = await bench.open();
    const louder = await acquireEncoder(again, "ft:bert:bert-query-value:2");
    const before = await acquireEncoder(again, tunedId("bert-query-value"));
    expect(louder.digest).not.toBe(before.digest);
  });
});
