/**
 * Run as `node train-steps.ts` by bench/train.ts, in a process of its own: takes steps of AdamW as `tune` does, over
 * the batches that standard input names, and prints one JSON line of what they took.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { json } from "node:stream/consumers";
import { wordTable } from "../../gpu-worker/architectures/embedding.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import { int64 } from "../../gpu-worker/tensor/tensor.ts";
import { withNewHead } from "../../gpu-worker/training/new-head.ts";
import { withReadWords, wordsOf } from "../../gpu-worker/training/read-words.ts";
import { openTrainStep } from "../../gpu-worker/training/train-step.ts";
import { trainingGraphs } from "../../gpu-worker/training/training-graphs.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { residentMemory } from "./resident-memory.ts";
import { TrainingFigures, TrainingOrder } from "./training-batches.ts";

const order = TrainingOrder.parse(await json(process.stdin));
const { folder, task: name, classes: outputs, threads } = order;
const runtime = await openRuntime({ log: { info: () => {}, warn: console.warn }, threads });
const config: unknown = JSON.parse(readFileSync(path.join(folder, "config.json"), "utf8"));
const stored = withNewHead(openSafetensors(path.join(folder, "model.safetensors")), config, {
  head: name,
  outputs,
  labels: [],
  before: null,
  seed: 0,
  wordShapes: false,
});
// The batches are all of the data: what none of them reads is not trained, as in a tuning.
const texts = order.batches.flatMap(({ ids }) => ids.map((own) => ({ ids: own })));
const read = { table: wordTable, words: wordsOf([{ rows: texts }], 0) };
const weights = withReadWords(stored, read);
const task =
  name === "token-classification" ? { name } : { name, problem: "single_label" as const };
const graphs = trainingGraphs(config, weights, {
  task,
  isTrained: () => true,
  words: read.words,
  shapesRate: 1,
});
const work = mkdtempSync(path.join(tmpdir(), "llm-os-train-"));
const step = await openTrainStep({ ...graphs, evaluation: null, runtime, weights, folder: work });
weights.close();

const grid = (rows: readonly (readonly number[])[]) =>
  int64([rows.length, rows[0]?.length ?? 0], rows.flat());
const figures: TrainingFigures = { seconds: [], losses: [], cpuSeconds: 0, peakBytes: 0 };
const begun = performance.now();
const before = process.cpuUsage();
for (const [at, { ids, mask, labels }] of order.batches.entries()) {
  const from = performance.now();
  if (from - begun > order.secondsMax * 1000) break;
  const tagged = TrainingOrder.shape.batches.element.shape.labels.parse(labels);
  const feeds = {
    input_ids: grid(ids),
    attention_mask: grid(mask),
    token_type_ids: grid(ids.map((row) => row.map(() => 0))),
    labels: int64(
      name === "token-classification" ? [ids.length, ids[0]?.length ?? 0] : [ids.length],
      tagged.flat(),
    ),
    seed: int64([], [at]),
  };
  const { loss = NaN } = await step.step(feeds, { learningRate: order.learningRate });
  figures.seconds.push((performance.now() - from) / 1000);
  figures.losses.push(loss);
}
const { user, system } = process.cpuUsage(before);
figures.cpuSeconds = (user + system) / 1e6;
figures.peakBytes = residentMemory(process.pid)?.peak ?? NaN;
await step.release();
rmSync(work, { recursive: true });
console.log(JSON.stringify(figures));
process.exit(0);
