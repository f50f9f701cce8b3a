/** The model that ships with the worker, against PyTorch's vectors of the f32 original. */
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { catalogue } from "#contract/catalogue.ts";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import { openCatalog } from "../../gpu-worker/catalog/open-catalog.ts";
import type { LoadedModel } from "../../gpu-worker/catalog/loaded-model.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import { sharedFolder } from "./shared-folder.ts";

const id = "all-MiniLM-L6-v2";
const embedded = path.resolve(import.meta.dirname, "../../gpu-worker/catalog/embedded", id);
const log = { info: () => undefined, warn: () => undefined };
const never = new AbortController().signal;

const Reference = z.array(
  z.object({ text: z.string(), input_ids: z.array(z.int()), embedding: z.array(z.number()) }),
);
type Reference = z.infer<typeof Reference>;

let state: string;
const opened: Catalog[] = [];

beforeAll(async () => {
  state = await mkdtemp(path.join(tmpdir(), "llm-os-embedded-"));
});

afterAll(async () => {
  await Promise.all(opened.map((catalog) => catalog.close()));
  await rm(state, { recursive: true, force: true });
});

async function load(form: "f32" | "int8", modelsFolder: string | null = null) {
  const hub = { endpoint: "http://127.0.0.1:1", token: null };
  const runtime = await openRuntime({ log, threads: 2 });
  const catalog = await openCatalog(
    { stateFolder: state, modelsFolder, hub, form, device: "cpu" },
    { runtime, log, now: Date.now },
  );
  opened.push(catalog);
  return catalog.acquire(id, never);
}

async function vectorOf({ session, tokenizer }: LoadedModel, text: string): Promise<Float32Array> {
  const [encoded] = await tokenizer.encode([text]);
  const { ids } = tokenizer.wrap(encoded?.ids ?? []);
  const shape = [1, ids.length];
  const of = (value: (id: number) => number) => ({
    dtype: "int64" as const,
    shape,
    data: BigInt64Array.from(ids, (token) => BigInt(value(token))),
  });
  const { sentence_embedding: vector } = await session.run({
    input_ids: of((token) => token),
    attention_mask: of(() => 1),
    token_type_ids: of(() => 0),
  });
  if (vector?.dtype !== "float32") throw new Error("no vector");
  return vector.data;
}

function cosine(a: Float32Array, b: readonly number[]): number {
  const dot = a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
  return dot / Math.hypot(...a) / Math.hypot(...b);
}

async function cosines(model: LoadedModel, references: Reference) {
  const all: number[] = [];
  for (const { text, embedding } of references) {
    all.push(cosine(await vectorOf(model, text), embedding));
  }
  return { mean: all.reduce((sum, value) => sum + value, 0) / all.length, least: Math.min(...all) };
}

describe("the embedded model", () => {
  it("is small, and carries its licence and its origin", async () => {
    const names = await readdir(embedded, { recursive: true });
    const stats = await Promise.all(names.map((name) => stat(path.join(embedded, name))));
    const bytes = stats.reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0);
    expect(bytes).toBeLessThan(24_000_000);
    expect(names).toEqual(expect.arrayContaining(["LICENSE", "NOTICE", "README.md"]));
    const own: unknown = JSON.parse(await readFile(path.join(embedded, "llm-os.json"), "utf8"));
    const upstream = catalogue
      .find((manifest) => manifest.id === id)
      ?.files.find((file) => file.path === "model.safetensors");
    expect(own).toMatchObject({ licence: "apache-2.0", derivedFrom: upstream?.sha256 });
  });
});

describe.skipIf(sharedFolder === null)("vectors against the f32 original in PyTorch", () => {
  let references: Reference;

  beforeAll(async () => {
    const file = path.join(sharedFolder ?? "", "models/references/minilm-embeddings.json");
    references = Reference.parse(JSON.parse(await readFile(file, "utf8")));
  });

  it("has the reference's token ids, none cut off or padded", async () => {
    const { tokenizer } = await load("f32");
    const encoded = await tokenizer.encode(references.map(({ text }) => text));
    const ids = encoded.map((text) => tokenizer.wrap(text.ids).ids);
    expect(ids).toEqual(references.map(({ input_ids }) => input_ids));
  });

  it.each([
    { form: "f32", from: "the embedded file", mean: 0.999, least: 0.995 },
    { form: "int8", from: "the embedded file", mean: 0.995, least: 0.98 },
    { form: "f32", from: "upstream's file", mean: 0.9999, least: 0.9999 },
    { form: "int8", from: "upstream's file", mean: 0.995, least: 0.98 },
  ] as const)("$from computed in $form: cosine ≥ $mean, at least $least", async (row) => {
    const upstream = row.from === "upstream's file";
    const models = upstream ? path.join(sharedFolder ?? "", "models") : null;
    const { mean, least } = await cosines(await load(row.form, models), references);
    expect(mean).toBeGreaterThanOrEqual(row.mean);
    expect(least).toBeGreaterThanOrEqual(row.least);
  });
});
