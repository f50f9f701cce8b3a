/** Training held open: what a step changes, what is read and written between steps, and what is left behind. */
import { mkdtempSync, readdirSync } from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { buildEncoder, buildTrainingEncoder } from "../../gpu-worker/architectures/encoder.ts";
import { gradient } from "../../gpu-worker/autodiff/gradient.ts";
import { adamW } from "../../gpu-worker/autodiff/optimizers/adam-w.ts";
import { int64 } from "../../gpu-worker/tensor/tensor.ts";
import { encoderDropout, usualRates } from "../../gpu-worker/training/encoder-dropout.ts";
import type { TrainStep, TrainStepOptions } from "../../gpu-worker/training/train-step.ts";
import { layeredWeights, memoryWeights } from "../../gpu-worker/weights/memory-weights.ts";
import { runGraph } from "../onnx/run-graph.ts";
import { elementsOf, openTagger, TrainingBench } from "./training-bench.ts";

const { config, weights } = openTagger();
const task = { name: "token-classification" } as const;
const isInput = (name: string) => !name.includes("embeddings");

const bench = new TrainingBench();
afterAll(() => weights.close());

function graphs(): Pick<TrainStepOptions, "update" | "evaluation"> {
  const dropout = encoderDropout(usualRates);
  const forward = buildTrainingEncoder(config, weights, { task, isInput, dropout });
  const inputs = forward.inputs.map(({ name }) => name);
  const parameters = inputs.filter((name) => weights.entry(name) !== null);
  const update = adamW(gradient(forward, { loss: "loss", parameters }), {
    groups: [{ parameters }],
    maxNorm: 1,
  });
  const options = { task, isInput, labelled: false };
  return { update, evaluation: buildTrainingEncoder(config, weights, options) };
}

function train(options: Partial<Omit<TrainStepOptions, "runtime">> = {}): Promise<TrainStep> {
  return bench.train({ ...graphs(), weights, ...options });
}

const shape = [2, 5];
const texts = {
  input_ids: int64(shape, [5, 9, 14, 3, 22, 7, 31, 2, 0, 0]),
  attention_mask: int64(shape, [1, 1, 1, 1, 1, 1, 1, 1, 0, 0]),
  token_type_ids: int64(shape, [0, 0, 0, 1, 1, 0, 0, 0, 0, 0]),
};
const batch = (seed: number) => ({
  ...texts,
  labels: int64(shape, [0, 1, 2, 0, 1, 2, 0, 1, -100, -100]),
  seed: int64([], [seed]),
});

async function stepsOf(training: TrainStep, seeds: readonly number[]): Promise<number[]> {
  const losses: number[] = [];
  for (const seed of seeds) {
    const { loss = NaN } = await training.step(batch(seed), { learningRate: 0.01 });
    losses.push(loss);
  }
  return losses;
}

describe("a step", () => {
  it("makes the loss smaller, and changes what is trainable alone", async () => {
    const training = await train();
    const losses = await stepsOf(
      training,
      Array.from({ length: 12 }, () => 1),
    );
    expect(losses.at(-1)).toBeLessThan((losses[0] ?? NaN) / 2);
    expect(training.steps).toBe(12);
    const tuned = training.updated.filter((name) => weights.entry(name) !== null);
    expect(tuned).toContain("bert.encoder.layer.0.attention.self.query.weight");
    expect(tuned.filter((name) => name.includes("embeddings"))).toEqual([]);
    const tensors = await training.read(tuned);
    for (const [name, tensor] of tensors) expect(tensor.shape).toEqual(weights.entry(name)?.shape);

    // What is read is a checkpoint: it answers as the graph that evaluates does.
    const evaluated = await training.evaluate(texts);
    const checkpoint = layeredWeights(memoryWeights(tensors), weights);
    const served = await runGraph(
      buildEncoder(config, checkpoint, { head: task, form: "f32" }),
      texts,
    );
    const kept = elementsOf(evaluated["logits"]).subarray(0, 5);
    for (const [at, logit] of kept.entries()) {
      expect(logit).toBeCloseTo(served["logits"]?.data[at] ?? NaN, 4);
    }
  });

  it("gives the gradients' length, and drops by its seed", async () => {
    const training = await train();
    const still = (seed: number) => training.step(batch(seed), { learningRate: 0 });
    const first = await still(3);
    expect(first["grad_norm"]).toBeGreaterThan(0);
    expect(await still(3)).toEqual(first);
    expect((await still(4))["loss"]).not.toBe(first["loss"]);
  });

  it("refuses what does not fit, and goes on", async () => {
    const training = await train();
    const { labels: _, ...unlabelled } = batch(1);
    await expect(training.step(unlabelled, { learningRate: 0.01 })).rejects.toThrow("labels");
    expect(training.steps).toBe(0);
    const signal = AbortSignal.abort(new Error("stopped"));
    await expect(training.step(batch(1), { learningRate: 0.01, signal })).rejects.toThrow(
      "stopped",
    );
    const [loss] = await stepsOf(training, [1]);
    expect(loss).toBeGreaterThan(0);
  });
});

it("takes turns with evaluations and copies, which see whole steps", async () => {
  const training = await train();
  const name = "classifier.weight";
  const [, , after, evaluated] = await Promise.all([
    training.step(batch(1), { learningRate: 0.01 }),
    training.step(batch(2), { learningRate: 0.01 }),
    training.read([name]),
    training.evaluate(texts),
    training.step(batch(3), { learningRate: 0.01 }),
  ]);
  const alone = await train();
  await stepsOf(alone, [1, 2]);
  expect(after).toEqual(await alone.read([name]));
  expect(evaluated).toEqual(await alone.evaluate(texts));
});

describe("what was trained", () => {
  it("goes on elsewhere to the bit", async () => {
    const whole = await train();
    const losses = await stepsOf(whole, [1, 2, 3, 4, 5]);
    const before = await train();
    await stepsOf(before, [1, 2, 3]);
    const state = await before.read(before.updated);
    const after = await train({ evaluation: null });
    await after.write(state, before.steps);
    expect(await stepsOf(after, [4, 5])).toEqual(losses.slice(3));
    expect(await after.read(after.updated)).toEqual(await whole.read(whole.updated));
  });

  it("has no state of another name", async () => {
    const training = await train({ evaluation: null });
    await expect(training.read(["classifier"])).rejects.toThrow('"classifier" is not resident');
    await expect(training.evaluate(texts)).rejects.toThrow("there is no graph that evaluates");
  });
});

it("leaves nothing behind", async () => {
  const own = mkdtempSync(path.join(bench.folder, "own-"));
  const training = await train({ folder: own });
  expect(readdirSync(own)).toHaveLength(1);
  await Promise.all([training.release(), training.release()]);
  expect(readdirSync(own)).toEqual([]);
  await expect(stepsOf(training, [1])).rejects.toThrow("released");
  const { evaluation } = graphs();
  const broken = train({
    folder: own,
    update: buildEncoder(config, weights, { head: task, form: "f32" }),
    evaluation,
  });
  await expect(broken).rejects.toThrow("the graph updates nothing");
  const signal = AbortSignal.abort(new Error("stopped"));
  await expect(train({ folder: own, signal })).rejects.toThrow("stopped");
  expect(readdirSync(own)).toEqual([]);
});
