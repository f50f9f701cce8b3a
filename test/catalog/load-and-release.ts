/**
 * Run as `node --expose-gc load-and-release.ts FOLDER`, on its own, because it measures a whole process: models are
 * loaded and released one after the other, first a few, then many more. Prints one JSON line with the bytes of the
 * process after each part and those that loaded models took on top.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { openCatalog } from "../../gpu-worker/catalog/open-catalog.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";

const collect = globalThis.gc ?? assert.fail("start it with --expose-gc");
const folder = process.argv[2] ?? assert.fail("name a folder");
const signal = new AbortController().signal;
const log = { info: () => undefined, warn: () => undefined };

const catalog = await openCatalog(
  {
    stateFolder: `${folder}/state`,
    modelsFolder: `${folder}/models`,
    hub: { endpoint: "http://127.0.0.1:9", token: null },
    form: "f32",
    device: "cpu",
  },
  { runtime: await openRuntime({ log, threads: 1 }), log, now: () => 0, pythonCommands: [] },
);
const ids = catalog
  .states()
  .map(({ id }) => id)
  .filter((id) => id.startsWith("copy-"));

/** @returns bytes of the process with all of them loaded */
async function loadAll(): Promise<number> {
  for (const id of ids) await catalog.acquire(id, signal);
  const loaded = process.memoryUsage.rss();
  for (const id of ids) await catalog.release(id);
  return loaded;
}

/** The least of several rounds: what the allocator keeps for a while comes and goes, what is leaked stays. */
async function restAfter(rounds: number): Promise<number> {
  let least = Infinity;
  for (let round = 0; round < rounds; round += 1) {
    await loadAll();
    collect();
    least = Math.min(least, process.memoryUsage.rss());
  }
  return least;
}

await loadAll();
const before = await restAfter(2);
const loaded = await loadAll();
const after = await restAfter(3);
await catalog.close();
console.log(JSON.stringify({ models: ids.length, before, loaded, after }));
