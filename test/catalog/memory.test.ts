/** Many models in one worker: who is unloaded for whom, what a lease keeps, and that memory really comes back. */
import { spawnSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { buildEncoder } from "../../gpu-worker/architectures/encoder.ts";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { encodeModelProto } from "../../gpu-worker/onnx/encode-model-proto.ts";
import { featureExtraction } from "../../gpu-worker/pipelines/feature-extraction.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { type CatalogBench, never, openCatalogBench, stateOf } from "./catalog-bench.ts";
import { type EncoderSize, writeRandomEncoder } from "./random-encoder.ts";
import { writeTinyEncoder } from "./tiny-encoder.ts";

const ids = ["one", "two", "three", "four"];

describe("with room for two models and a bit", () => {
  let bench: CatalogBench;
  let catalog: Catalog;

  const loaded = () => ids.filter((id) => stateOf(catalog, id).loaded);

  /** As asked for at that time. */
  async function ask(id: string, nowMs: number) {
    bench.nowMs = nowMs;
    return catalog.acquire(id, never);
  }

  beforeEach(async () => {
    bench = await openCatalogBench();
    for (const [seed, id] of ids.entries()) await writeTinyEncoder(bench.local(id), seed);
    const measured = await bench.open();
    const { bytes } = await measured.acquire("one", never);
    const size = Math.max(bytes, stateOf(measured, "one").sizeBytes ?? 0);
    catalog = await bench.open({ memory: Math.floor(2.5 * size) });
  });

  afterEach(() => bench.close());

  it("unloads the least recently used", async () => {
    await ask("one", 1);
    await ask("two", 2);
    await ask("one", 3);
    await ask("three", 4);
    expect(loaded()).toEqual(["one", "three"]);
    await ask("four", 5);
    expect(loaded()).toEqual(["three", "four"]);
  });

  it("gives a model that was unloaded to whoever asks again", async () => {
    const first = await ask("one", 1);
    await ask("two", 2);
    await ask("three", 3);
    expect(loaded()).toEqual(["two", "three"]);
    const again = await ask("one", 4);
    expect(again.session).not.toBe(first.session);
    expect(again.digest).toBe(first.digest);
  });

  it("keeps what is leased, and unloads another for it", async () => {
    bench.nowMs = 1;
    const lease = await catalog.lease("one", never);
    await ask("two", 2);
    await ask("three", 3);
    expect(loaded()).toEqual(["one", "three"]);
    await catalog.release("one");
    expect(loaded()).toEqual(["one", "three"]);
    lease.release();
    // A second release of the same lease takes nobody else's away.
    const other = await catalog.lease("one", never);
    lease.release();
    await ask("two", 4);
    expect(loaded()).toEqual(["one", "two"]);
    other.release();
  });

  it("counts what is loaded at the same time together", async () => {
    await ask("one", 1);
    await ask("two", 2);
    await Promise.all([ask("three", 3), ask("four", 3)]);
    expect(loaded()).toEqual(["three", "four"]);
  });

  it("loads once for all that ask", async () => {
    const [lease, ...models] = await Promise.all([
      catalog.lease("one", never),
      catalog.acquire("one", never),
      catalog.acquire("one", never),
    ]);
    for (const model of models) expect(model).toBe(lease.model);
    lease.release();
  });

  it("refuses a model that is larger than all room by name, before its weights are read", async () => {
    const size = { hidden: 128, intermediate: 512, heads: 2, vocabulary: 50_000, positions: 32 };
    // Where no other catalog looks.
    const modelsFolder = path.join(bench.folder, "apart");
    await writeRandomEncoder(path.join(modelsFolder, "large"), { ...size, layers: 1 });
    await writeTinyEncoder(path.join(modelsFolder, "one"), 0);
    const refusal =
      /large cannot be served: it needs 2[56] MiB.*may take 20 MiB here\. Use a smaller model$/;
    for (const form of ["f32", "int8"] as const) {
      const tight = await bench.open({ memory: 20 * 2 ** 20, form, modelsFolder });
      await expect(tight.acquire("large", never)).rejects.toThrow(refusal);
      expect(stateOf(tight, "large")).toMatchObject({ status: "failed", digest: null });
      await tight.acquire("one", never);
    }
    // Digests of large files are kept by their sizes: this one was never read.
    const { size: bytes } = await stat(path.join(modelsFolder, "large", "model.safetensors"));
    const kept = await readFile(path.join(bench.settings.stateFolder, "file-digests.json"), "utf8");
    expect(Object.keys(JSON.parse(kept)).filter((key) => key.includes(`-${bytes}-`))).toEqual([]);
  });

  it("does not keep a model that is released while it is loaded", async () => {
    const asked = catalog.acquire("one", never);
    await Promise.all([expect(asked).rejects.toThrow(), catalog.release("one")]);
    expect(loaded()).toEqual([]);
    await ask("one", 1);
    expect(loaded()).toEqual(["one"]);
  });
});

const embedded = path.resolve(
  import.meta.dirname,
  "../../gpu-worker/catalog/embedded/all-MiniLM-L6-v2",
);
const copies = 4;

// Elsewhere the allocator gives memory back by itself, when it likes.
describe.runIf(process.platform === "linux")(
  "a process that loads and releases many models",
  () => {
    let folder: string;

    beforeEach(async () => {
      folder = await mkdtemp(path.join(tmpdir(), "llm-os-memory-"));
      await mkdir(path.join(folder, "models"));
      for (let copy = 0; copy < copies; copy += 1) {
        await symlink(embedded, path.join(folder, "models", `copy-${copy}`));
      }
    });

    afterEach(() => rm(folder, { recursive: true, force: true }));

    it("holds no more than before, to within 5 %", () => {
      const script = path.join(import.meta.dirname, "load-and-release.ts");
      const { status, signal, stdout, stderr } = spawnSync(
        process.execPath,
        ["--expose-gc", script, folder],
        { encoding: "utf8" },
      );
      expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: "" });
      const { models, before, loaded, after } = JSON.parse(stdout);
      expect(models).toBe(copies);
      // Each takes some 50 MB: four of them are seen.
      expect(loaded - before).toBeGreaterThan(150e6);
      expect(after).toBeLessThan(1.05 * before);
    });
  },
);

/** Of few weights and many scores: 1.07 GB at 4 096 positions. */
const long: EncoderSize = {
  hidden: 256,
  intermediate: 512,
  layers: 1,
  heads: 16,
  vocabulary: 100,
  positions: 4_096,
};

/** The same model as a file that we did not build. */
async function writeReadyMade(folder: string, from: string): Promise<void> {
  await cp(from, folder, { recursive: true });
  const weightsFile = path.join(folder, "model.safetensors");
  const config: unknown = JSON.parse(await readFile(path.join(folder, "config.json"), "utf8"));
  const weights = openSafetensors(weightsFile);
  const options = { head: { name: "none" }, form: "f32", scoreBytes: null } as const;
  await writeFile(
    path.join(folder, "model.onnx"),
    encodeModelProto(buildEncoder(config, weights, options)),
  );
  weights.close();
  await rm(weightsFile);
}

describe("a text of thousands of tokens", () => {
  let bench: CatalogBench;

  beforeEach(async () => {
    bench = await openCatalogBench();
    await writeRandomEncoder(bench.local("built"), long);
    await writeReadyMade(bench.local("ready-made"), bench.local("built"));
  });

  afterEach(() => bench.close());

  const scores = 16 * 4_096 ** 2 * 4;

  function run(id: string, tokens: number) {
    const script = path.join(import.meta.dirname, "long-text.ts");
    const args = [script, bench.folder, id, String(tokens)];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const measured: { taken: number; reckoned: number } = JSON.parse(stdout);
    return measured;
  }

  // Elsewhere nothing tells the most that a process has had.
  it.runIf(process.platform === "linux")("takes no more memory than is reckoned", () => {
    const built = run("built", 4_096);
    expect(built.taken).toBeLessThan(built.reckoned);
    expect(built.taken).toBeLessThan(scores / 2);
    const readyMade = run("ready-made", 2_048);
    expect(readyMade.taken).toBeLessThan(readyMade.reckoned);
  });

  it("is refused by name where there is not enough, and sooner by a ready-made file", async () => {
    const catalog = await bench.open({ runsMemory: 450e6 });
    const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });
    const ask = async (id: string, tokens: number) => {
      const model = await catalog.acquire(id, never);
      // Two of them are the model's own.
      const inputs = [Array.from({ length: tokens - 2 }, () => "fox").join(" ")];
      const request = { task: "feature-extraction" as const, inputs, parameters: {} };
      return runner.run(featureExtraction, request, model, { signal: never });
    };
    expect((await ask("built", 4_000)).usage.promptTokens).toBe(4_000);
    expect((await ask("ready-made", 1_000)).usage.promptTokens).toBe(1_000);
    await expect(ask("ready-made", 2_000)).rejects.toMatchObject({
      code: "context_length_exceeded",
      param: "inputs",
      message: expect.stringMatching(
        /input of 2000 tokens .* ready-made, which takes at most 1\d{3}/,
      ),
    });
  });
});
