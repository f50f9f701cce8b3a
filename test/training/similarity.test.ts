/** Twenty steps of AdamW as sentence-transformers' losses had them (references/make_similarity.py). */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import * as z from "zod";
import { buildTrainingEncoder } from "../../gpu-worker/architectures/encoder.ts";
import { gradient } from "../../gpu-worker/autodiff/gradient.ts";
import { adamW } from "../../gpu-worker/autodiff/optimizers/adam-w.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { Runtime } from "../../gpu-worker/runtime/session.ts";
import { float32, int64 } from "../../gpu-worker/tensor/tensor.ts";
import { rowFeeds } from "../../gpu-worker/training/batches.ts";
import { openTrainStep } from "../../gpu-worker/training/train-step.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";

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

let runtime: Runtime;
let folder: string;

beforeAll(async () => {
  const log = { info: () => undefined, warn: () => undefined };
  runtime = await openRuntime({ log, only: "c-api", poolThreads: 1 });
  folder = mkdtempSync(path.join(tmpdir(), "similarity-"));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

it.each(Object.entries(runs))("%s", async (name, { by, learning_rate: rate, steps }) => {
  const config: unknown = JSON.parse(readFileSync(path.join(base, "config.json"), "utf8"));
  const weights = openSafetensors(path.join(base, "model.safetensors"));
  const task = { name: "similarity", pooling: "mean", by } as const;
  const forward = buildTrainingEncoder(config, weights, {
    task,
    packed: true,
    isInput: () => true,
  });
  const parameters = forward.inputs.flatMap((input) =>
    weights.entry(input.name) ? input.name : [],
  );
  const plain = parameters.filter((each) => each.endsWith("bias") || each.includes("LayerNorm"));
  const decayed = parameters.filter((each) => !plain.includes(each));
  const update = adamW(gradient(forward, { loss: "loss", parameters }), {
    groups: [
      { parameters: decayed, weightDecay: 0.01 },
      { parameters: plain, weightDecay: 0 },
    ],
    maxNorm: 1,
  });
  const training = await openTrainStep({ runtime, update, evaluation: null, weights, folder });
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
