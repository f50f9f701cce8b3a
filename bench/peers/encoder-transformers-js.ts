/**
 * Peer of bench/encoder.ts: transformers.js on the same checkpoints and requests, in a process of its own.
 * Usage: encoder-transformers-js.ts MODELS_FOLDER THREADS < requests.json, requests [{task, model, text}]
 * Prints one JSON object: requests per second by the way it was called. Batches hold requests of one task in the order
 * they came; "concurrent" calls one by one without waiting.
 */
import { json } from "node:stream/consumers";
import { env, pipeline } from "@huggingface/transformers";
import * as z from "zod";

const batchSizes = [1, 4, 8, 32, 64];
const concurrentCalls = 64;

const Requests = z.array(
  z.object({
    task: z.enum(["feature-extraction", "text-classification", "token-classification"]),
    model: z.string(),
    text: z.string(),
  }),
);
type Requests = z.infer<typeof Requests>;
type Call = (texts: string[]) => Promise<unknown>;

const [folder = "", threads = "2"] = process.argv.slice(2);
const requests = Requests.parse(await json(process.stdin));
env.allowRemoteModels = false;
env.localModelPath = folder;

async function load({ task, model }: Requests[number]): Promise<Call> {
  const options = {
    device: "cpu",
    dtype: "fp32",
    session_options: { intraOpNumThreads: Number(threads) },
  } as const;
  if (task === "feature-extraction") {
    const extract = await pipeline(task, model, options);
    return (texts) => extract(texts, { pooling: "mean", normalize: true });
  }
  if (task === "text-classification") {
    const classify = await pipeline(task, model, options);
    return (texts) => classify(texts);
  }
  const find = await pipeline(task, model, options);
  return (texts) => find(texts);
}

/** Texts of each task, in batches, in the order in which a batch becomes full. */
function batchesOf(size: number): { task: string; texts: string[] }[] {
  const open = new Map<string, string[]>();
  const batches: { task: string; texts: string[] }[] = [];
  for (const { task, text } of requests) {
    const texts = open.get(task) ?? [];
    texts.push(text);
    open.set(task, texts);
    if (texts.length < size) continue;
    batches.push({ task, texts });
    open.delete(task);
  }
  return [...batches, ...[...open].map(([task, texts]) => ({ task, texts }))];
}

const calls = new Map<string, Call>();
for (const request of requests) {
  if (!calls.has(request.task)) calls.set(request.task, await load(request));
}

function call(task: string, texts: string[]): Promise<unknown> {
  return calls.get(task)?.(texts) ?? Promise.reject(new Error(`no ${task}`));
}

async function rateOf(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return (requests.length * 1_000) / (performance.now() - start);
}

for (const { task, texts } of batchesOf(32).slice(0, 6)) await call(task, texts);
const rates: Record<string, number> = {};
for (const size of batchSizes) {
  rates[`batch${size}`] = await rateOf(async () => {
    for (const { task, texts } of batchesOf(size)) await call(task, texts);
  });
}
rates["concurrent"] = await rateOf(async () => {
  for (let at = 0; at < requests.length; at += concurrentCalls) {
    const some = requests.slice(at, at + concurrentCalls);
    await Promise.all(some.map(({ task, text }) => call(task, [text])));
  }
});
console.log(JSON.stringify({ rates }));
