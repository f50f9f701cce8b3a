/**
 * Run as `node count-threads.ts FOLDER [THREADS]`, on its own, because it counts a whole process's threads: loads every
 * model of the folder and runs each as often at a time as it takes. Prints one JSON line.
 */
import { readdirSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { openCatalog } from "../../gpu-worker/catalog/open-catalog.ts";
import { madeUpFeeds } from "../../gpu-worker/graphs/measure-costs.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";

const [folder = "", threads] = process.argv.slice(2);
const log = { info: () => undefined, warn: () => undefined };
const runtime = await openRuntime({ log, ...(threads && { threads: Number(threads) }) });
const modelsFolder = path.join(folder, "models");
const hub = { endpoint: "http://127.0.0.1:9", token: null };
const stateFolder = path.join(folder, "state");
const catalog = await openCatalog(
  { stateFolder, modelsFolder, hub, form: "f32", device: "cpu" },
  { runtime, log, now: () => 0, pythonCommands: [] },
);
const ids = readdirSync(modelsFolder);
const signal = new AbortController().signal;
const models = await Promise.all(ids.map((id) => catalog.acquire(id, signal)));
const runs = models.flatMap(({ session }) =>
  Array.from({ length: session.concurrency }, () => session.run(madeUpFeeds(session, 4, 16))),
);
await Promise.all(runs);
const concurrency = models.map(({ session }) => session.concurrency);
const total = readdirSync("/proc/self/task").length;
console.log(JSON.stringify({ threads: runtime.threads, concurrency, total }));
await catalog.close();
process.exit(0);
