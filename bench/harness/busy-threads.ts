/**
 * Run as `node busy-threads.ts THREADS MODELS` by bench/threads.ts: the embedded model, MODELS times over, kept busy
 * with as many runs as the worker has side by side, of any model. Prints one JSON line.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { openCatalog } from "../../gpu-worker/catalog/open-catalog.ts";
import { madeUpFeeds } from "../../gpu-worker/graphs/measure-costs.ts";
import { measureGemm } from "../../gpu-worker/runtime/measure-gemm.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import { shareThreads } from "../../gpu-worker/runtime/share-threads.ts";
import { miniLmL6, operationsOf } from "./encoder-operations.ts";

/** Texts and tokens of a batch: about what the worker computes at once. */
const [texts, tokens] = [32, 32];
const rounds = 3;
const roundMs = 2_000;
/** Of the time that a thread would have if all had the same: less is a thread that waits for work. */
const leastShare = 0.2;

const [threads = 1, models = 1] = process.argv.slice(2).map(Number);
const log = { info: () => undefined, warn: console.warn };
const signal = new AbortController().signal;
const folder = mkdtempSync(path.join(tmpdir(), "llm-os-threads-"));
const embedded = "../../gpu-worker/catalog/embedded/all-MiniLM-L6-v2";
const modelsFolder = path.join(folder, "models");
mkdirSync(modelsFolder);
const ids = Array.from({ length: models }, (_, at) => `copy-${at}`);
for (const id of ids) {
  symlinkSync(path.resolve(import.meta.dirname, embedded), path.join(modelsFolder, id));
}

const runtime = await openRuntime({ log, threads });
const hub = { endpoint: "http://127.0.0.1:9", token: null };
const catalog = await openCatalog(
  { stateFolder: path.join(folder, "state"), modelsFolder, hub, form: "f32", device: "cpu" },
  { runtime, log, now: Date.now, pythonCommands: [] },
);
const loaded = await Promise.all(ids.map((id) => catalog.acquire(id, signal)));

/** Milliseconds of CPU time by thread; empty where the system does not tell. */
function cpuOfThreads(): Map<string, number> {
  if (process.platform !== "linux") return new Map();
  const counted = readdirSync("/proc/self/task").map((id) => {
    const stat = readFileSync(`/proc/self/task/${id}/stat`, "utf8");
    // The name, in brackets, may hold spaces; utime and stime, in hundredths of a second, are fields 14 and 15.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return [id, (Number(fields[11]) + Number(fields[12])) * 10] as const;
  });
  return new Map(counted);
}

/** Batches a second, as many side by side as the worker would have, the models in turn. */
async function batchesPerSecond(): Promise<number> {
  const until = performance.now() + roundMs;
  let done = 0;
  const lane = async (first: number) => {
    for (let turn = first; performance.now() < until; turn += 1) {
      const session = loaded[turn % loaded.length]?.session;
      if (session === undefined) return;
      await session.run(madeUpFeeds(session, texts, tokens), { outputs: ["sentence_embedding"] });
      done += 1;
    }
  };
  const startedAt = performance.now();
  const lanes = shareThreads(threads).concurrency;
  await Promise.all(Array.from({ length: lanes }, (_, at) => lane(at)));
  return (done * 1_000) / (performance.now() - startedAt);
}

let [best, products] = [0, 0];
const measureProducts = async () => {
  const options = { dtype: "float32" as const, threads, now: () => performance.now(), signal };
  products = Math.max(products, await measureGemm(runtime, options));
};
await measureProducts();
const before = cpuOfThreads();
const [cpu, startedAt] = [process.cpuUsage(), performance.now()];
for (let round = 0; round < rounds; round += 1) best = Math.max(best, await batchesPerSecond());
const used = process.cpuUsage(cpu);
const cores = (used.user + used.system) / 1_000 / (performance.now() - startedAt);
const times = [...cpuOfThreads()].map(([id, ms]) => ms - (before.get(id) ?? 0));
await measureProducts();

const total = times.reduce((sum, ms) => sum + ms, 0);
const busy = times.filter((ms) => ms > (leastShare * total) / threads).length;
const { concurrency, workers } = shareThreads(threads);
const encoder = (best * texts * operationsOf(tokens, miniLmL6)) / 1e9;
const seen = times.length === 0 ? null : busy;
console.log(
  JSON.stringify({ threads, concurrency, workers, models, encoder, products, busy: seen, cores }),
);
await catalog.close();
rmSync(folder, { recursive: true });
process.exit(0);
