/** Many models in one worker: who is unloaded for whom, what a lease keeps, and that memory really comes back. */
import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import { type CatalogBench, never, openCatalogBench, stateOf } from "./catalog-bench.ts";
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

  it("loads a model that is larger than all room, alone", async () => {
    const tight = await bench.open({ memory: 1 });
    await tight.acquire("one", never);
    await tight.acquire("two", never);
    expect(ids.filter((id) => stateOf(tight, id).loaded)).toEqual(["two"]);
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
    }, 120_000);
  },
);
