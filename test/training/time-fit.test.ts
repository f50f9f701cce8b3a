/** Schedules that end in time: how many steps fit is decided once, and the rate falls to nothing by then. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import { readTrainingData } from "../../gpu-worker/training/read-training-data.ts";
import { textTuning } from "../../gpu-worker/training/text-classes.ts";
import { stepsInTime } from "../../gpu-worker/training/time-fit.ts";
import {
  learningRateAt,
  planTraining,
  shortenPlan,
} from "../../gpu-worker/training/training-plan.ts";
import type { TrainingPlan } from "../../gpu-worker/training/training-plan.ts";
import { readTraining } from "../../gpu-worker/training/training-state.ts";
import { stateFolderOf } from "../../gpu-worker/training/train-in-folder.ts";
import { prepareTuning, tuneEncoder } from "../../gpu-worker/training/tune-encoder.ts";
import { openDataSource } from "../../gpu-worker/cli/data-source.ts";
import { type CatalogBench, never, openCatalogBench } from "../catalog/catalog-bench.ts";
import { writeTinyEncoder } from "../catalog/tiny-encoder.ts";
import { randomFrom } from "../random-from.ts";
import { madeTexts, reportOf, writeLines } from "./tune-bench.ts";

const chosen = {
  strategy: "full",
  layers: 0,
  epochs: 40,
  batch: 16,
  learningRate: 1e-2,
  seed: 1,
  maxSeconds: 60,
} as const;

describe("the steps that end in time", () => {
  const below = randomFrom(3);
  const cases = Array.from({ length: 300 }, () => {
    const epochs = 1 + below(30);
    const maxSeconds = 10 + below(2_000);
    const plan = planTraining({ ...chosen, epochs, maxSeconds }, 50 + below(20_000));
    const step = Math.min(plan.steps, 3 + below(20));
    const secondsPerStep = (1 + below(3_000)) / 1_000;
    const secondsPerEvaluation = below(10_000) / 1_000;
    return {
      plan,
      pace: { step, seconds: step * secondsPerStep, secondsPerStep, secondsPerEvaluation },
    };
  });

  const secondsOf = (
    plan: TrainingPlan,
    { step, seconds, ...pace }: (typeof cases)[number]["pace"],
  ) => {
    const evaluations = Math.ceil(plan.steps / plan.evaluateEvery) + 1;
    return (
      seconds + (plan.steps - step) * pace.secondsPerStep + evaluations * pace.secondsPerEvaluation
    );
  };

  it("are no more than planned and at least one more than taken", () => {
    for (const { plan, pace } of cases) {
      const steps = stepsInTime(plan, pace);
      expect(steps).toBeLessThanOrEqual(plan.steps);
      expect(steps).toBeGreaterThanOrEqual(Math.min(plan.steps, pace.step + 1));
    }
  });

  it("take no longer than there is, and leave little of it", () => {
    for (const { plan, pace } of cases) {
      const steps = stepsInTime(plan, pace);
      if (steps === pace.step + 1) continue;
      const taken = secondsOf(shortenPlan(plan, steps), pace);
      expect(taken).toBeLessThanOrEqual(plan.maxSeconds);
      if (steps === plan.steps) continue;
      const perEpoch = plan.steps / plan.epochs;
      const slack = pace.secondsPerStep + pace.secondsPerEvaluation * (2 + 6 / perEpoch);
      expect(taken).toBeGreaterThanOrEqual(plan.maxSeconds * 0.94 - slack);
    }
  });

  it("have a rate that falls to nothing at their end", () => {
    for (const { plan, pace } of cases) {
      const short = shortenPlan(plan, stepsInTime(plan, pace));
      const last = learningRateAt(short, short.steps - 1);
      expect(last / plan.learningRate).toBeCloseTo(1 / (short.steps + 1 - short.warmup), 6);
      expect(short.evaluateEvery).toBeLessThanOrEqual(short.steps);
    }
  });
});

let bench: CatalogBench;

beforeEach(async () => {
  bench = await openCatalogBench();
  await writeTinyEncoder(bench.local("tiny"));
});

afterEach(() => bench.close());

/** A second for each time that it is read. */
function clock(from = 0): () => number {
  let seconds = from;
  return () => (seconds += 1) * 1000;
}

async function prepared() {
  const lines = madeTexts(200).map((text) => ({ text, label: String(text.includes("quick")) }));
  const file = await writeLines(path.join(bench.folder, "train.jsonl"), lines);
  const training = () => openDataSource(file, never);
  const read = await readTrainingData({ training, validation: null }, { seed: 1, signal: never });
  if (read.task !== "text-classification") throw new TypeError(read.task);
  const upstream = { baseName: "tiny", baseDigest: "0".repeat(64) };
  const base = { id: "tiny", folder: bench.local("tiny"), upstream };
  return await prepareTuning(base, textTuning(read.task, read.data), never);
}

async function train(out: string, signal: AbortSignal, onEvaluation = (_step: number) => {}) {
  const tuning = await prepared();
  const log = { info: () => undefined, warn: () => undefined };
  const runtime = await openRuntime({ log, only: "c-api", threads: 1 });
  const from = await readTraining(stateFolderOf(out), "same");
  const examples = tuning.facts.lengths.training.length;
  const shortened: number[] = [];
  await tuneEncoder({
    prepared: tuning,
    plan: planTraining({ ...chosen, maxSeconds: 600 }, examples),
    from,
    name: "tuned",
    out,
    fingerprint: "same",
    saveEverySeconds: 1e9,
    runtime,
    events: {
      onStep: () => undefined,
      onEvaluation: ({ step }) => onEvaluation(step),
      onShortened: (steps) => shortened.push(steps),
      onSave: () => undefined,
    },
    now: clock(),
    signal,
  });
  return shortened;
}

it("a training that is short of time ends by its schedule, and goes on to the same end", async () => {
  const whole = bench.local("whole");
  const [steps] = await train(whole, never);
  const { stopped } = reportOf(whole);
  expect(stopped).toEqual({
    reason: "time_limit",
    detail: `600 seconds are enough for ${steps} of 400 steps`,
  });
  const broken = bench.local("broken");
  const interruption = new AbortController();
  const told = train(broken, interruption.signal, (step) => {
    if (step > (steps ?? 0) / 2) interruption.abort(new Error("stop"));
  });
  await expect(told).rejects.toThrow("stop");
  expect(await train(broken, never)).toEqual([]);
  const weights = [whole, broken].map((out) => readFileSync(path.join(out, "model.safetensors")));
  expect(weights[0]?.equals(weights[1] ?? Buffer.of())).toBe(true);
  expect(reportOf(broken).stopped).toEqual(stopped);
});
