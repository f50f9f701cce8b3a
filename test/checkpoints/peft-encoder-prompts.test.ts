/**
 * Soft prompts of encoders that PEFT saved, through the catalog, against what PEFT and transformers computed with them
 * (peft-prompts/make_prompts.py): within 1e-4, of prompts that come and go, and by the script that export writes.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { cp, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import * as z from "zod";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import { runExport } from "../../gpu-worker/cli/export-model.ts";
import { sha256OfFile } from "../../gpu-worker/files/file-digest.ts";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { runRows } from "../../gpu-worker/model/run-rows.ts";
import { sequenceHeadOf } from "../../gpu-worker/pipelines/sequence-head.ts";
import { textClassification } from "../../gpu-worker/pipelines/text-classification.ts";
import { acquireEncoder } from "../catalog/acquire-encoder.ts";
import { type CatalogBench, never, openCatalogBench, stateOf } from "../catalog/catalog-bench.ts";
import { writeBareEncoder } from "./bare-encoder.ts";

const made = path.join(import.meta.dirname, "peft-prompts");
const taggers = path.join(import.meta.dirname, "library-checkpoints");
const root = path.resolve(import.meta.dirname, "../..");
const tolerance = 1e-4;
const Text = z.object({ ids: z.array(z.int()), logits: z.array(z.number()) });
const Expected = z.record(z.string(), z.object({ base: z.string(), texts: z.array(Text) }));
const expected = Expected.parse(JSON.parse(readFileSync(path.join(made, "encoders.json"), "utf8")));

let bench: CatalogBench;
let catalog: Catalog;
const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });

async function writePrompt(from: string, to: string, own: object = {}): Promise<void> {
  const { base = "", texts = [] } = expected[from] ?? {};
  await cp(path.join(made, from), bench.local(to), { recursive: true });
  const weights = path.join(bench.local(`${base}-base`), "model.safetensors");
  const said = {
    formatVersion: 1,
    task: "text-classification",
    labels: texts[0]?.logits.map((_, at) => `L${at}`),
    problem: "single_label",
    pooling: "mean",
    max_length: 64,
    base_digest: await sha256OfFile(weights, never),
    ...own,
  };
  await writeFile(path.join(bench.local(to), "llm-os.json"), JSON.stringify(said));
}

beforeAll(async () => {
  bench = await openCatalogBench();
  for (const [name, { base }] of Object.entries(expected)) {
    await writeBareEncoder(bench.local(`${base}-base`), path.join(taggers, `${base}-tags`));
    await writePrompt(name, name);
  }
  catalog = await bench.open();
});

afterAll(async () => {
  await runner.close();
  await bench.close();
});

async function farthest(id: string, name: string): Promise<number> {
  const model = await acquireEncoder(catalog, id);
  const head = sequenceHeadOf(model);
  if (head === null) throw new Error("it classifies texts");
  const { softPrompt = [], adapter = 0 } = model;
  const { texts = [] } = expected[name] ?? {};
  const rows = texts.map(({ ids }) => ({
    ids: [...softPrompt, ...ids],
    adapter,
    outputs: head.outputs,
  }));
  const results = await runRows(rows, model, never);
  const apart = texts.flatMap(({ logits }, at) => {
    const own = head.logitsOf(results[at] ?? {});
    return logits.map((logit, column) => Math.abs(logit - (own[column] ?? NaN)));
  });
  return Math.max(...apart);
}

it.each(Object.keys(expected))("%s gives PEFT's logits", async (name) => {
  expect(await farthest(name, name)).toBeLessThan(tolerance);
});

it("takes the places of one that went, while another stays", async () => {
  await writePrompt("bert-four", "first");
  await writePrompt("bert-four", "second");
  await catalog.recheck();
  const first = await catalog.lease("first", never);
  const second = await catalog.lease("second", never);
  if (first.model.kind !== "encoder" || second.model.kind !== "encoder")
    throw new Error("encoders");
  const { softPrompt } = first.model;
  expect(softPrompt).toHaveLength(4);
  first.release();
  await rm(bench.local("first"), { recursive: true });
  await catalog.recheck();
  expect(await farthest("second", "bert-four")).toBeLessThan(tolerance);
  await writePrompt("bert-four", "third");
  await catalog.recheck();
  expect((await acquireEncoder(catalog, "third")).softPrompt).toEqual(softPrompt);
  for (const id of ["second", "third", "bert-four"]) {
    expect(await farthest(id, "bert-four")).toBeLessThan(tolerance);
  }
  second.release();
});

it("is exported as it is served", async () => {
  const out = path.join(bench.folder, "exported");
  await runExport({ model: "bert-four", out, merge: false }, bench.settings, never);
  await symlink(path.join(root, "node_modules"), path.join(out, "node_modules"));
  const inputs = ["a b", "the cat sat"];
  const { stdout } = await promisify(execFile)(process.execPath, ["run.mjs", ...inputs], {
    cwd: out,
  });
  const model = await acquireEncoder(catalog, "bert-four");
  const request = { task: "text-classification" as const, inputs, parameters: {} };
  const { outputs, usage } = await runner.run(textClassification, request, model, {
    signal: never,
  });
  const lines = stdout.trim().split("\n");
  for (const [at, labels] of outputs.entries()) {
    const scores = Object.fromEntries(labels.map(({ label, score }) => [label, score]));
    const found = JSON.parse(lines[at] ?? "");
    for (const [label, score] of Object.entries(scores)) expect(found[label]).toBeCloseTo(score, 4);
  }
  const own = await model.tokenizer.encode(inputs, { signal: never });
  const { single } = model.tokenizer.specialTokens;
  const tokens = own.reduce((sum, { ids }) => sum + ids.length + single, 0);
  expect(usage.promptTokens).toBe(tokens);
});

it("says why a folder is not served", async () => {
  await writePrompt("bert-four", "tagging", {
    task: "token-classification",
    pooling: "none",
  });
  await writePrompt("bert-four", "elsewhere");
  const config = path.join(bench.local("elsewhere"), "adapter_config.json");
  const said = JSON.parse(readFileSync(config, "utf8"));
  await writeFile(config, JSON.stringify({ ...said, num_virtual_tokens: 3 }));
  await catalog.recheck();
  for (const [id, why] of [
    ["tagging", /PROMPT_TUNING is served for text-classification alone/],
    ["elsewhere", /is \[4, 12\], expected \[3, hidden size\]/],
  ] as const) {
    await expect(catalog.acquire(id, never)).rejects.toMatchObject({ code: "model_not_servable" });
    expect(stateOf(catalog, id).reason).toMatch(why);
  }
});
