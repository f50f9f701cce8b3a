/**
 * Adapters through the catalog: on made-up bases for what is kept and refused, on the embedded model for what is
 * answered.
 */
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type AdapterHead, writeAdapter } from "../../gpu-worker/checkpoints/adapter-folder.ts";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import { sha256OfFile } from "../../gpu-worker/files/file-digest.ts";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { textClassification } from "../../gpu-worker/pipelines/text-classification.ts";
import { type CatalogBench, never, openCatalogBench, stateOf, until } from "./catalog-bench.ts";
import { writeTinyEncoder } from "./tiny-encoder.ts";
import { acquireEncoder } from "./acquire-encoder.ts";

const hidden = 8;
const foreignDigest = "f".repeat(64);

let bench: CatalogBench;

beforeEach(async () => {
  bench = await openCatalogBench();
  await writeTinyEncoder(bench.local("tiny"));
});

afterEach(() => bench.close());

const weightsOf = (id: string) =>
  sha256OfFile(path.join(bench.local(id), "model.safetensors"), never);

/** A head on `tiny`, its weights all `fill`. */
async function writeHead(
  id: string,
  changes: Partial<AdapterHead> = {},
  fill = 0.5,
): Promise<void> {
  const adapter: AdapterHead = {
    task: "text-classification",
    labels: ["a", "b"],
    problem: "single_label",
    pooling: "mean",
    maxLength: 12,
    baseDigest: await weightsOf("tiny"),
    baseName: "tiny",
    licence: "mit",
    entityModel: null,
    weight: new Float32Array(2 * hidden).fill(fill),
    bias: Float32Array.of(0, 1),
    ...changes,
  };
  await writeAdapter(bench.local(id), adapter, "# A head\n");
}

async function refusalOf(catalog: Catalog, id: string): Promise<string | null> {
  await expect(catalog.acquire(id, never)).rejects.toMatchObject({ code: "model_not_servable" });
  const { status, reason } = stateOf(catalog, id);
  expect(status).toBe("failed");
  return reason;
}

describe("an adapter in a folder of the operator's", () => {
  it("runs on the session of its base, as every adapter of that base does", async () => {
    await writeHead("one");
    await writeHead("two", {}, -0.5);
    const catalog = await bench.open();
    const [one, two, base] = await Promise.all(
      ["one", "two", "tiny"].map((id) => acquireEncoder(catalog, id)),
    );
    expect(one?.session).toBe(base?.session);
    expect(two?.session).toBe(base?.session);
    expect(one?.head).toMatchObject({ name: "sequence-classification", labels: ["a", "b"] });
    expect(base?.head).toEqual({ name: "none" });
  });

  it("has a digest of its own, announced before it is loaded, that changes with the head", async () => {
    await writeHead("one");
    await writeHead("same");
    await writeHead("other", {}, 0.25);
    await writeHead("named", { labels: ["c", "d"] });
    const ids = ["tiny", "one", "same", "other", "named"];
    const catalog = await bench.open();
    await until(catalog, () => ids.every((id) => stateOf(catalog, id).digest !== null));
    const [tiny, one, same, other, named] = ids.map((id) => stateOf(catalog, id).digest);
    expect(same).toBe(one);
    expect(new Set([tiny, one, other, named]).size).toBe(4);
    expect((await catalog.acquire("one", never)).digest).toBe(one);
  });

  it("says its task, licence, size and limits at once, and the same once it is loaded", async () => {
    await writeHead("short");
    await writeHead("long", { maxLength: 512 });
    const catalog = await bench.open();
    expect(stateOf(catalog, "short")).toMatchObject({
      tasks: ["text-classification"],
      licence: "mit",
      sizeBytes: expect.any(Number),
      status: "available",
      loaded: false,
    });
    const limits = { dimensions: null, vocabularySize: 10 };
    expect(stateOf(catalog, "short").limits).toEqual({ ...limits, maxTokens: 12 });
    expect((await catalog.acquire("short", never)).limits).toEqual({ ...limits, maxTokens: 12 });
    expect(stateOf(catalog, "short").limits).toEqual({ ...limits, maxTokens: 12 });
    // No more than the base reads.
    expect((await catalog.acquire("long", never)).limits).toEqual({ ...limits, maxTokens: 16 });
  });

  it("is refused on another base than its own, with both digests", async () => {
    await writeHead("foreign", { baseDigest: foreignDigest });
    await writeHead("unasked", { baseDigest: foreignDigest });
    const catalog = await bench.open();
    const reason = await refusalOf(catalog, "foreign");
    expect(reason).toContain(foreignDigest);
    expect(reason).toContain(await weightsOf("tiny"));
    // Another of the kind is known for what it is before anybody asks.
    expect(stateOf(catalog, "unasked")).toMatchObject({
      status: "failed",
      notServable: true,
      reason: expect.stringContaining(foreignDigest),
    });
    // The refused adapter holds nothing.
    await catalog.release("tiny");
    expect(stateOf(catalog, "tiny").loaded).toBe(false);
  });

  it("is refused where its head reads another number of features", async () => {
    await writeHead("wide", { weight: new Float32Array(2 * 9) });
    const catalog = await bench.open();
    expect(await refusalOf(catalog, "wide")).toMatch(/reads 9 features, but tiny gives 8/);
  });

  it.each([
    { what: "a base that nobody knows", id: "lost", baseName: "nowhere" },
    { what: "a base of its own name", id: "self", baseName: "self" },
    { what: "another adapter for a base", id: "stacked", baseName: "one" },
  ])("with $what is refused with the name of that", async ({ id, baseName }) => {
    await writeHead("one");
    await writeHead(id, { baseName });
    const catalog = await bench.open();
    expect(await refusalOf(catalog, id)).toContain(
      `its base ${baseName} is not known to this worker`,
    );
  });

  it("keeps its base until it is unloaded itself", async () => {
    await writeHead("one");
    const catalog = await bench.open();
    await catalog.acquire("one", never);
    await catalog.release("tiny");
    expect(stateOf(catalog, "tiny").loaded).toBe(true);
    await catalog.release("one");
    await catalog.release("tiny");
    expect(stateOf(catalog, "tiny").loaded).toBe(false);
  });

  it("lets go of its base where nobody waits for it any longer", async () => {
    await writeHead("one");
    const catalog = await bench.open();
    const leaving = new AbortController();
    const asked = catalog.acquire("one", leaving.signal);
    // Once the base is at work, on the way of the adapter alone.
    await until(catalog, () => stateOf(catalog, "tiny").reason !== null);
    leaving.abort(new Error("left"));
    await expect(asked).rejects.toThrow("left");
    await catalog.release("one");
    await catalog.release("tiny");
    expect(stateOf(catalog, "tiny").loaded).toBe(false);
    const { session } = await catalog.acquire("one", never);
    expect(session).toBe((await catalog.acquire("tiny", never)).session);
  });
});

describe.each(["f32", "int8"] as const)("the adapters that ship, in %s", (form) => {
  let shipped: CatalogBench;
  let catalog: Catalog;

  beforeAll(async () => {
    shipped = await openCatalogBench();
    catalog = await shipped.open({ form });
  });

  afterAll(() => shipped.close());

  async function bestLabel(id: string, text: string): Promise<string | undefined> {
    const { model, release } = await catalog.lease(id, never);
    const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });
    const request = { task: "text-classification" as const, inputs: [text], parameters: {} };
    try {
      const { outputs } = await runner.run(textClassification, request, model, { signal: never });
      return outputs[0]?.[0]?.label;
    } finally {
      release();
    }
  }

  it.each([
    ["sentiment-en", "An absolute delight from the first minute to the last.", "positive"],
    ["sentiment-en", "A dull, lifeless mess that wastes two hours.", "negative"],
    ["topic-en", "The striker scored twice as the home team won the cup final.", "Sports"],
    ["intent-banking", "I lost my card yesterday, please block it.", "lost_or_stolen_card"],
  ])("%s finds in %j: %s", async (id, text, label) => {
    expect(await bestLabel(id, text)).toBe(label);
    expect((await catalog.acquire(id, never)).form).toBe(form);
  });
});
