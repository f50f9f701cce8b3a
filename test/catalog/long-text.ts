/**
 * Run as `node long-text.ts FOLDER ID TOKENS`, on its own, because it measures a whole process: loads the model ID of
 * FOLDER/models and runs it on a text of so many tokens. Prints one JSON line with bytes: what the run took at most,
 * and what it was reckoned to take.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { bytesOfRun } from "../../gpu-worker/model/run-memory.ts";
import { openCatalog } from "../../gpu-worker/catalog/open-catalog.ts";
import { madeUpFeeds } from "../../gpu-worker/graphs/measure-costs.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import { acquireEncoder } from "./acquire-encoder.ts";

const [folder = "", id = "", tokens = ""] = process.argv.slice(2);
const log = { info: () => undefined, warn: () => undefined };
const runtime = await openRuntime({ log, threads: 1 });
const hub = { endpoint: "http://127.0.0.1:9", token: null };
const catalog = await openCatalog(
  {
    stateFolder: path.join(folder, "state"),
    modelsFolder: path.join(folder, "models"),
    hub,
    form: "f32",
    device: "cpu",
  },
  { runtime, log, now: () => 0, pythonCommands: [] },
);

/** The most that this process has had of memory. */
function peakBytes(): number {
  const status = readFileSync("/proc/self/status", "utf8");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1_024;
}

const { session, memory } = await acquireEncoder(catalog, id);
assert(memory !== undefined);
const before = peakBytes();
await session.run(madeUpFeeds(session, 1, Number(tokens)), { outputs: ["sentence_embedding"] });
const longest = Number(tokens);
const reckoned = bytesOfRun(memory, { longest, texts: 1, asked: 0 });
console.log(JSON.stringify({ taken: peakBytes() - before, reckoned }));
await catalog.close();
process.exit(0);
