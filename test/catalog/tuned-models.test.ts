/** Models that come with a request: fetched at first use, verified, served beside all others, told to nobody. */
import { mkdir, readdir, readFile, rm, truncate, utimes } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { TunedModelSource } from "../../contract/training/tuned-model.ts";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import { runExport } from "../../gpu-worker/cli/export-model.ts";
import { tunedEntriesMax } from "../../gpu-worker/catalog/tuned-entries.ts";
import { digestOfFiles } from "../../gpu-worker/downloads/tuned-folders.ts";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { loadModel } from "../../gpu-worker/pipelines/load-model.ts";
import { textClassification } from "../../gpu-worker/pipelines/text-classification.ts";
import { type CatalogBench, never, openCatalogBench, stateOf, vectorOf } from "./catalog-bench.ts";
import { writeTinyEncoder } from "./tiny-encoder.ts";
import { type TunedAdapter, writeTunedAdapter } from "./tuned-adapter.ts";
import { TunedStore, tunedName } from "./tuned-store.ts";

let store: TunedStore;
let bench: CatalogBench;

beforeAll(async () => {
  store = await TunedStore.start();
  bench = await openCatalogBench();
  await writeTinyEncoder(bench.local("tiny"));
});
afterAll(async () => {
  await bench.close();
  await store.stop();
});
/** The graphs that were built stay. */
beforeEach(async () => {
  await rm(stateFolder(), { recursive: true, force: true });
  store.opened.length = 0;
  bench.nowMs = 0;
});

const openCatalog = (changes: Parameters<CatalogBench["open"]>[0] = {}) =>
  bench.open(changes, { openObject: store.openObject() });

/** An adapter of that seed in the store, and not on this machine. */
async function storedAdapter(
  seed: number,
  name?: string,
  more: TunedAdapter = {},
): Promise<TunedModelSource> {
  await writeTunedAdapter(bench, "made", { seed, ...more });
  const source = await store.putFolder(bench.local("made"), name);
  await rm(bench.local("made"), { recursive: true });
  return source;
}

/** A sentence encoder of that seed. */
async function storedCheckpoint(seed: number): Promise<TunedModelSource> {
  const folder = path.join(bench.folder, "made");
  await writeTinyEncoder(folder, seed);
  const source = await store.putFolder(folder);
  await rm(folder, { recursive: true });
  return source;
}

const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });
afterAll(() => runner.close());

async function scoreBy(catalog: Catalog, source: TunedModelSource): Promise<number> {
  const { model, release } = await catalog.lease(source.name, never, source);
  const request = {
    task: "text-classification" as const,
    inputs: ["a quick brown fox"],
    parameters: {},
  };
  try {
    const { outputs } = await runner.run(textClassification, request, model, { signal: never });
    return outputs[0]?.find(({ label }) => label === "a")?.score ?? NaN;
  } finally {
    release();
  }
}

const load = async (catalog: Catalog, source: TunedModelSource) =>
  (await catalog.lease(source.name, never, source)).release();

const stateFolder = () => path.join(bench.folder, "state", "tuned");
const onDisk = async () => (await readdir(stateFolder())).toSorted();
describe("an adapter", () => {
  it("is fetched once however many ask, and answers as one of the operator's folders does", async () => {
    await writeTunedAdapter(bench, "own", { seed: 7 });
    const source = await storedAdapter(7);
    const catalog = await openCatalog();
    const own = await catalog.lease("own", never);
    const leases = await Promise.all(
      Array.from({ length: 5 }, () => catalog.lease(source.name, never, source)),
    );
    expect(store.opened).toHaveLength(source.files.length);
    const [first] = leases;
    expect(new Set(leases.map(({ model }) => model)).size).toBe(1);
    expect(first?.model.id).toBe(source.name);
    expect(first?.model.digest).toBe(own.model.digest);
    // One session for all adapters of the base.
    expect(first?.model.session).toBe(own.model.session);
    for (const { release } of [own, ...leases]) release();
    const score = await scoreBy(catalog, source);
    expect(score).toBeCloseTo(await scoreBy(catalog, { ...source }), 6);
    expect(await onDisk()).toEqual([source.digest, `${source.digest}.json`]);
  });

  it("is exported by its name, once its files are here", async () => {
    const source = await storedAdapter(7);
    const out = path.join(bench.folder, "exported");
    const run = () => runExport({ model: source.name, out, merge: false }, bench.settings, never);
    await expect(run()).rejects.toThrow(/call it once.*LLM_OS_STATE/);
    await load(await openCatalog(), source);
    expect(await run()).toEqual(expect.arrayContaining(["model.json", "model.onnx", "run.mjs"]));
  });

  it("is told to nobody, and known by nobody who does not say where its files are", async () => {
    const source = await storedAdapter(1);
    const catalog = await openCatalog();
    const before = catalog.states().map(({ id }) => id);
    const told = new Set<string>();
    catalog.onChange(() => {
      for (const { id } of catalog.states()) told.add(id);
    });
    await load(catalog, source);
    expect(told.has("tiny")).toBe(true);
    expect(told.has(source.name)).toBe(false);
    expect(catalog.states().map(({ id }) => id)).toEqual(before);
    await expect(catalog.acquire(source.name, never)).rejects.toMatchObject({
      code: "model_not_found",
    });
  });

  it("is another where another tenant's has the same name", async () => {
    const name = tunedName();
    const [one, two] = [await storedAdapter(1, name), await storedAdapter(2, tunedName())];
    const catalog = await openCatalog();
    const alone = await scoreBy(catalog, one);
    const other = await scoreBy(catalog, { ...two, name });
    expect(Math.abs(alone - other)).toBeGreaterThan(1e-4);
    expect(await scoreBy(catalog, one)).toBeCloseTo(alone, 6);
    expect(await scoreBy(catalog, { ...two, name })).toBeCloseTo(other, 6);
  });
});

describe("many tenants at once", () => {
  it("have their own answers, while models come and go", async () => {
    const sources: TunedModelSource[] = [];
    for (let at = 0; at < 6; at += 1) sources.push(await storedAdapter(at + 1));
    // Room for the base and about two of them.
    const measured = await openCatalog();
    await load(measured, sources[0] as TunedModelSource);
    const base = await measured.lease("tiny", never);
    const catalog = await openCatalog({ memory: Math.floor(base.model.bytes * 1.2) });
    const alone: number[] = [];
    for (const source of sources) alone.push(await scoreBy(catalog, source));
    expect(new Set(alone.map((score) => score.toFixed(5))).size).toBe(sources.length);
    const calls = Array.from({ length: 60 }, (_, call) => call % sources.length);
    const together = await Promise.all(
      calls.map((at) => scoreBy(catalog, sources[at] as TunedModelSource)),
    );
    for (const [call, score] of together.entries()) {
      expect(score).toBeCloseTo(alone[calls[call] ?? 0] ?? NaN, 5);
    }
  });
});

describe("a checkpoint", () => {
  it("is a model of its own, and is found again after a restart", async () => {
    await writeTinyEncoder(bench.local("same"), 3);
    const source = await storedCheckpoint(3);
    const first = await openCatalog();
    const { model, release } = await first.lease(source.name, never, source);
    const own = await first.lease("same", never);
    expect(model.digest).toBe(own.model.digest);
    release();
    own.release();
    await first.close();
    store.opened.length = 0;
    const second = await openCatalog();
    await load(second, source);
    expect(store.opened).toEqual([]);
    expect(await vectorOf(second, "same")).not.toEqual(await vectorOf(second, "tiny"));
  });

  it("is fetched again where a file of it was lost or cut here", async () => {
    const source = await storedCheckpoint(4);
    await load(await openCatalog(), source);
    await truncate(path.join(stateFolder(), source.digest, "model.safetensors"), 100);
    store.opened.length = 0;
    await load(await openCatalog(), source);
    expect(store.opened).toHaveLength(source.files.length);
  });
});

describe("loading for the platform", () => {
  it("says what the model is, and has run it once", async () => {
    const source = await storedAdapter(1);
    const catalog = await openCatalog();
    const { model, release } = await catalog.lease(source.name, never, source);
    let ran = 0;
    const request = { task: "load-model" as const, inputs: [{}], parameters: {} };
    const { outputs, usage } = await runner.run(loadModel, request, model, {
      signal: never,
      onRun: (tokens) => (ran += tokens),
    });
    const { tasks, limits, digest } = model;
    expect(outputs).toEqual([{ tasks, limits, digest }]);
    expect(tasks[0]).toBe("text-classification");
    expect([usage.promptTokens, ran]).toEqual([0, 3]);
    release();
  });
});

/** Refused with those words, and nothing of it stays on the disk. */
async function expectRefusal(source: TunedModelSource, code: string, words: RegExp): Promise<void> {
  const catalog = await openCatalog();
  const asked = catalog.lease(source.name, never, source);
  await expect(asked).rejects.toMatchObject({ code, message: expect.stringMatching(words) });
  expect(await readdir(stateFolder()).catch(() => [])).toEqual([]);
}

/** With a digest that fits whatever its files are. */
const withFiles = (source: TunedModelSource, files: TunedModelSource["files"]) => ({
  ...source,
  files,
  digest: digestOfFiles(files),
});

describe("what cannot be trusted", () => {
  it("is refused: bytes that are not those that were trained", async () => {
    const source = await storedAdapter(1);
    const [file] = source.files.slice(-1);
    await store.put(file?.object.key ?? "", new Uint8Array(file?.object.bytes ?? 0));
    await expectRefusal(source, "model_not_servable", /is not the one that was stored/);
  });

  it("is refused: a file that is longer than it says", async () => {
    const source = await storedAdapter(1);
    const key = source.files[0]?.object.key ?? "";
    await store.put(key, new Uint8Array(100_000));
    await expectRefusal(source, "model_not_servable", /is not the one that was stored/);
  });

  it("is refused: a file that is gone", async () => {
    const source = await storedAdapter(1);
    await store.remove(source.files[1]?.object.key ?? "");
    await expectRefusal(source, "model_not_servable", /its file \S+ is gone/);
  });

  it("is refused: files that are not those of the digest", async () => {
    const [one, two] = [await storedAdapter(1), await storedAdapter(2)];
    const mixed = { ...one, files: two.files };
    await expectRefusal(mixed, "model_not_servable", /not its digest's/);
    expect(store.opened).toEqual([]);
  });

  it("is refused: more bytes than a model may have", async () => {
    const source = await storedAdapter(1);
    const files = source.files.map((file) => ({
      ...file,
      object: { ...file.object, bytes: 4 * 1024 ** 3 },
    }));
    await expectRefusal(withFiles(source, files), "model_not_servable", /bytes, over/);
    expect(store.opened).toEqual([]);
  });

  it.each([
    ["a", "A"],
    ["a", "a/b"],
    ["a", "a"],
  ])("is refused: files %s and %s", async (...paths) => {
    const source = await storedAdapter(1);
    const [file] = source.files;
    const files = paths.map((each) => ({ path: each, object: (file as typeof file & {}).object }));
    await expectRefusal(withFiles(source, files), "model_not_servable", /each other's place/);
  });

  it("leaves others as they are, and is tried again once it is mended", async () => {
    const [good, bad] = [await storedAdapter(1), await storedAdapter(2)];
    const catalog = await openCatalog();
    const alone = await scoreBy(catalog, good);
    const file = bad.files.find(({ path: name }) => name.endsWith("safetensors"));
    const { key = "" } = file?.object ?? {};
    await store.remove(key);
    const [score, refused] = await Promise.allSettled([
      scoreBy(catalog, good),
      scoreBy(catalog, bad),
    ]);
    expect(score).toMatchObject({ status: "fulfilled", value: expect.closeTo(alone, 6) });
    expect(refused.status).toBe("rejected");
    await writeTunedAdapter(bench, "made", { seed: 2 });
    await store.putFolder(bench.local("made"), bad.name);
    bench.nowMs += 10_000;
    expect(await scoreBy(catalog, bad)).toBeGreaterThan(0);
  });
});

const unreachable = () => {
  throw new Error("connection reset by 10.1.2.3:9000");
};

describe("a store that does not answer", () => {
  it("is asked again, and then the failure is one that may pass", async () => {
    const source = await storedAdapter(1);
    let asked = 0;
    const reached = store.openObject();
    const flaky = async function* (...call: Parameters<typeof reached>) {
      asked += 1;
      if (asked % 3 !== 0) throw new Error("connection reset by 10.1.2.3:9000");
      yield* reached(...call);
    };
    await load(await bench.open({}, { openObject: flaky }), source);
    expect(asked).toBe(3 * source.files.length);
    const other = await storedAdapter(2);
    const catalog = await bench.open({}, { openObject: unreachable });
    const failed = catalog.lease(other.name, never, other);
    await expect(failed).rejects.toMatchObject({
      code: "model_unavailable",
      message: expect.not.stringContaining("10.1.2.3"),
    });
  });

  it("is none where a command has none", async () => {
    const source = await storedAdapter(1);
    const asked = (await bench.open()).lease(source.name, never, source);
    await expect(asked).rejects.toMatchObject({ code: "model_unavailable" });
  });
});

const bytesOf = ({ files }: TunedModelSource) =>
  files.reduce((sum, { object }) => sum + object.bytes, 0);
const foldersOnDisk = async () => (await onDisk()).filter((name) => !name.endsWith(".json"));
const graphsOnDisk = async () =>
  (await readdir(path.join(bench.settings.stateFolder, "graphs"))).toSorted();
const numbered = (at: number) => `ft:tiny:many:${String(at).padStart(32, "0")}`;

describe("room", () => {
  it("is made on the disk by those that were not used for the longest time, never by one in use", async () => {
    const sources: TunedModelSource[] = [];
    for (let at = 0; at < 4; at += 1) sources.push(await storedAdapter(at + 1));
    const [one, two, three, four] = sources as [
      TunedModelSource,
      TunedModelSource,
      TunedModelSource,
      TunedModelSource,
    ];
    const catalog = await openCatalog({ tunedBytes: 2.5 * bytesOf(one) });
    const held = await catalog.lease(one.name, never, one);
    bench.nowMs += 60_000;
    await load(catalog, two);
    bench.nowMs += 60_000;
    await load(catalog, three);
    expect(await foldersOnDisk()).toEqual([one.digest, three.digest].toSorted());
    // Deleted from the disk, it still answers who has it; and it is fetched again for who comes later.
    held.release();
    bench.nowMs += 60_000;
    await load(catalog, one);
    await load(catalog, four);
    expect(await foldersOnDisk()).toEqual([one.digest, four.digest].toSorted());
    await load(catalog, two);
  });

  it("is made of what nobody asked for in a day", async () => {
    const [one, two] = [await storedCheckpoint(5), await storedAdapter(2)];
    bench.nowMs = 48 * 3_600_000;
    const catalog = await openCatalog();
    await load(catalog, two);
    const others = await graphsOnDisk();
    await load(catalog, one);
    // Its compiled graph, which counts and goes with its files.
    expect(await graphsOnDisk()).toHaveLength(others.length + 1);
    const record = path.join(stateFolder(), `${one.digest}.json`);
    expect(JSON.parse(await readFile(record, "utf8")).bytes).toBeGreaterThan(bytesOf(one) + 1_000);
    const dead = path.join(stateFolder(), `${"a".repeat(64)}.x.tmp`);
    await mkdir(dead);
    await utimes(dead, 0, 0);
    bench.nowMs += 24 * 3_600_000 + 1;
    await load(catalog, two);
    const last = await storedAdapter(3);
    await load(catalog, last);
    const kept = [last.digest, `${last.digest}.json`, two.digest, `${two.digest}.json`];
    expect(await onDisk()).toEqual(kept.toSorted());
    expect(await graphsOnDisk()).toEqual(others);
    await load(await openCatalog(), one);
  });

  it("is made in the list of models: more of them than it holds are all served", async () => {
    const source = await storedAdapter(1, tunedName(), { targets: [] });
    const catalog = await openCatalog();
    const first = { ...source, name: numbered(0) };
    const held = await catalog.lease(first.name, never, first);
    for (let at = 1; at < tunedEntriesMax + 20; at += 1) {
      await load(catalog, { ...source, name: numbered(at) });
    }
    expect(await scoreBy(catalog, { ...source, name: numbered(1) })).toBeGreaterThan(0);
    expect(await scoreBy(catalog, first)).toBeGreaterThan(0);
    held.release();
    expect(stateOf(catalog, "tiny").loaded).toBe(true);
    expect(store.opened).toHaveLength(source.files.length);
  });
});
