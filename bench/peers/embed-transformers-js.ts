/**
 * Peer of bench/embeddings.ts: transformers.js on the same weights, in a process of its own.
 * Usage: embed-transformers-js.ts MODEL_FOLDER THREADS < texts.json
 * Prints one JSON object: texts per second for each batch size, and the first text's vector.
 */
import path from "node:path";
import { json } from "node:stream/consumers";
import { env, type FeatureExtractionPipeline, pipeline } from "@huggingface/transformers";
import * as z from "zod";

const batchSizes = [1, 4, 8, 32, 64];

async function measure(extract: FeatureExtractionPipeline, texts: string[], batch: number) {
  const start = performance.now();
  for (let at = 0; at < texts.length; at += batch) {
    await extract(texts.slice(at, at + batch), { pooling: "mean", normalize: true });
  }
  return texts.length / ((performance.now() - start) / 1000);
}

const [folder = "", threads = "2"] = process.argv.slice(2);
const texts = z.array(z.string()).parse(await json(process.stdin));
env.allowRemoteModels = false;
env.localModelPath = path.dirname(folder);
const extract = await pipeline("feature-extraction", path.basename(folder), {
  device: "cpu",
  dtype: "fp32",
  session_options: { intraOpNumThreads: Number(threads) },
});
await extract(texts.slice(0, 64), { pooling: "mean", normalize: true });
const rates: Record<string, number> = {};
for (const batch of batchSizes) rates[batch] = await measure(extract, texts, batch);
const first = await extract(texts[0] ?? "", { pooling: "mean", normalize: true });
console.log(JSON.stringify({ rates, first: Array.from(first.data as Float32Array) }));
