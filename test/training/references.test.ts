/**
 * Twenty steps of AdamW as PyTorch took them (../shared/models/make_references.py): a classifier of texts, one of
 * tokens, and adapters of low rank in a decoder, in sessions whose parameters are updated in place.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { buildTrainingDecoder } from "../../gpu-worker/architectures/decoder.ts";
import { buildTrainingEncoder } from "../../gpu-worker/architectures/encoder.ts";
import type { EncoderTask } from "../../gpu-worker/architectures/training-encoder.ts";
import { gradient } from "../../gpu-worker/autodiff/gradient.ts";
import { adamW } from "../../gpu-worker/autodiff/optimizers/adam-w.ts";
import { int64 } from "../../gpu-worker/tensor/tensor.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";
import type { LearntRow } from "../../gpu-worker/training/learnt-rows.ts";
import { packedFeeds } from "../../gpu-worker/training/packed-rows.ts";
import { loraScale } from "../../gpu-worker/training/start-tensors.ts";
import { openGgufCheckpoint } from "../../gpu-worker/weights/gguf-checkpoint.ts";
import { layeredWeights, memoryWeights } from "../../gpu-worker/weights/memory-weights.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import type { WeightSource } from "../../gpu-worker/weights/weight-source.ts";
import { sharedFolder } from "../catalog/shared-folder.ts";
import { trainerSteps, TrainingBench } from "./training-bench.ts";

const Rows = z.array(z.array(z.int()));
const Steps = z.object({
  steps: z.array(
    z.object({
      input_ids: Rows,
      attention_mask: Rows.optional(),
      labels: z.union([z.array(z.int()), Rows]),
      loss: z.number(),
      grad_norm: z.number().optional(),
    }),
  ),
});
type Step = z.infer<typeof Steps>["steps"][number];

const models = path.join(sharedFolder ?? "", "models");

function stepsOf(name: string): Step[] {
  const file = path.join(models, "references", `train-${name}.json`);
  return Steps.parse(JSON.parse(readFileSync(file, "utf8"))).steps;
}

/** The tensors of a file of references, under the names of checkpoints. */
function startOf(file: string, rename: (name: string) => string): WeightSource {
  const source = openSafetensors(path.join(models, "references", file));
  try {
    return memoryWeights(
      new Map(source.names().map((name) => [rename(name), source.read(name)] as const)),
    );
  } finally {
    source.close();
  }
}

const bench = new TrainingBench();

type Taken = { readonly loss: number; readonly norm: number | null };

function grid(rows: number[][]): Tensor {
  return int64([rows.length, rows[0]?.length ?? 0], rows.flat());
}

/** The farthest that a figure is from PyTorch's, as part of it. */
function farthest(taken: readonly Taken[], steps: readonly Step[]): number {
  const apart = steps.flatMap(({ loss, grad_norm: norm }, at) => {
    const ours = taken[at];
    const own = Math.abs((ours?.loss ?? NaN) - loss) / loss;
    return norm === undefined ? [own] : [own, Math.abs((ours?.norm ?? NaN) - norm) / norm];
  });
  return Math.max(...apart);
}

async function trainEncoder(
  task: EncoderTask,
  { steps, start, packed }: { steps: readonly Step[]; start: WeightSource; packed: boolean },
): Promise<Taken[]> {
  const base = path.join(models, "all-MiniLM-L6-v2");
  const config: unknown = JSON.parse(readFileSync(path.join(base, "config.json"), "utf8"));
  const weights = layeredWeights(start, openSafetensors(path.join(base, "model.safetensors")));
  const forward = buildTrainingEncoder(config, weights, { task, packed, isInput: () => true });
  const update = trainerSteps(forward, weights);
  const training = await bench.train({ update, evaluation: null, weights });
  weights.close();
  try {
    const taken: Taken[] = [];
    for (const { input_ids: ids, attention_mask: mask = [], labels } of steps) {
      const figures = await training.step(
        {
          input_ids: grid(ids),
          attention_mask: grid(mask),
          token_type_ids: grid(ids.map((row) => row.map(() => 0))),
          labels: Array.isArray(labels[0])
            ? grid(Rows.parse(labels))
            : int64([ids.length], z.array(z.int()).parse(labels)),
        },
        { learningRate: 5e-5 },
      );
      taken.push({ loss: figures["loss"] ?? NaN, norm: figures["grad_norm"] ?? NaN });
    }
    return taken;
  } finally {
    await training.release();
  }
}

describe.skipIf(sharedFolder === null)("twenty steps are PyTorch's", () => {
  it.each([
    [
      "sequence",
      { name: "sequence-classification", problem: "single_label" },
      "train-sequence-head.safetensors",
      false,
    ],
    ["token", { name: "token-classification" }, "train-token-head.safetensors", true],
  ] as const)("of a classifier of a %s", async (...given) => {
    const [name, task, file, packed] = given;
    const steps = stepsOf(name);
    const start = startOf(file, (stored) => stored.replace(/^bert\./, ""));
    const apart = farthest(await trainEncoder(task, { steps, start, packed }), steps);
    console.info(`${name}, packed ${packed}: ${apart.toExponential(1)} apart at most`);
    expect(apart).toBeLessThan(1e-4);
  });

  it("of adapters of low rank in a decoder", async () => {
    const steps = stepsOf("lora");
    const gguf = path.join(models, "SmolLM2-135M-Instruct", "SmolLM2-135M-Instruct.Q4_1.gguf");
    const checkpoint = openGgufCheckpoint(gguf);
    const start = startOf("train-lora-start.safetensors", (name) => name.replace(".default.", "."));
    const weights = layeredWeights(start, checkpoint.weights);
    const forward = buildTrainingDecoder(checkpoint.config, weights, {
      positions: 48,
      loraScale: loraScale({ rank: 8, alpha: 16 }),
      isInput: () => true,
    });
    const parameters = start.names();
    const update = adamW(gradient(forward, { loss: "loss", parameters }), {
      groups: [{ parameters }],
      weightDecay: 0,
      maxNorm: Infinity,
    });
    const training = await bench.train({ update, evaluation: null, weights });
    weights.close();
    try {
      const taken: Taken[] = [];
      for (const { input_ids: ids, labels } of steps) {
        const texts = learntRows(ids, Rows.parse(labels));
        const figures = await training.step(packedFeeds(texts, 0), { learningRate: 1e-3 });
        taken.push({ loss: figures["loss"] ?? NaN, norm: null });
      }
      const apart = farthest(taken, steps);
      console.info(`lora: ${apart.toExponential(1)} apart at most`);
      expect(apart).toBeLessThan(1e-4);
    } finally {
      await training.release();
    }
  });
});

/** −100: a token that is not to be predicted. */
function learntRows(ids: number[][], labels: number[][]): LearntRow[] {
  return ids.map((own, text) => ({
    ids: own,
    learnt: [...own.keys()].filter((at) => at > 0 && labels[text]?.[at] !== -100),
  }));
}
