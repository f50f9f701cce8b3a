/** Twenty steps of AdamW as sentence-transformers' losses had them (references/make_similarity.py). */
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import * as z from "zod";
import { buildTrainingEncoder } from "../../gpu-worker/architectures/encoder.ts";
import { float32, int64 } from "../../gpu-worker/tensor/tensor.ts";
import { rowFeeds } from "../../gpu-worker/training/batches.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { trainerSteps, TrainingBench } from "./training-bench.ts";

const Run = z.object({
  by: z.enum(["contrast", "cosine"]),
  learning_rate: z.number(),
  steps: z.array(
    z.object({
      input_ids: z.array(z.array(z.int())),
      labels: z.array(z.number()).nullable(),
      loss: z.number(),
      grad_norm: z.number(),
    }),
  ),
});
const runs = z
  .record(z.string(), Run)
  .parse(
    JSON.parse(readFileSync(path.join(import.meta.dirname, "references/similarity.json"), "utf8")),
  );

const base = path.resolve(
  import.meta.dirname,
  "../checkpoints/library-checkpoints/st-bert-mean-normalize",
);
/** Of a batch. */
const pairs = 6;

const bench = new TrainingBench(1);

it.each(Object.entries(runs))("%s", async (name, { by, learning_rate: rate, steps }) => {
  const config: unknown = JSON.parse(readFileSync(path.join(base, "config.json"), "utf8"));
  const weights = openSafetensors(path.join(base, "model.safetensors"));
  const task = { name: "similarity", pooling: "mean", by } as const;
  const forward = buildTrainingEncoder(config, weights, {
    task,
    packed: true,
    isInput: () => true,
  });
  const update = trainerSteps(forward, weights);
  const training = await bench.train({ update, evaluation: null, weights });
  weights.close();
  const apart: number[] = [];
  for (const { input_ids: padded, labels, loss, grad_norm: norm } of steps) {
    const rows = padded.map((ids) => ({ ids: ids.filter((id) => id !== 0) }));
    const own = Array.from({ length: pairs }, (_, at) => at);
    const feeds = {
      ...rowFeeds(rows, 0),
      labels: labels === null ? int64([pairs], own) : float32([pairs], labels),
    };
    const figures = await training.step(feeds, { learningRate: rate });
    apart.push(Math.abs((figures["loss"] ?? NaN) - loss) / loss);
    apart.push(Math.abs((figures["grad_norm"] ?? NaN) - norm) / norm);
  }
  await training.release();
  console.info(`${name}: ${Math.max(...apart).toExponential(1)} apart at most`);
  expect(Math.max(...apart)).toBeLessThan(1e-4);
});
