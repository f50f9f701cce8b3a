/** Schedules that end in time: how many steps fit is decided once, and the rate falls to nothing by then. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import { readTrainingData } from "../../gpu-worker/training/read-training-data.ts";
import { textTuning } from "../../gpu-worker/training/text-classes.ts";
import { endInTime, fitInTime, isLookedAt } from "../../gpu-worker/training/time-fit.ts";
import type { TimeFit } from "../../gpu-worker/training/time-fit.ts";
import {
  evaluationsIn,
  learningRateAt,
  planTraining,
  shortenPlan,
  type Slowed,
} from "../../gpu-worker/training/training-plan.ts";
import { readTraining } from "../../gpu-worker/training/training-state.ts";
import { stateFolderOf } from "../../gpu-worker/training/train-in-folder.ts";
import { prepareTuning } from "../../gpu-worker/training/prepare-encoder.ts";
import { tuneEncoder } from "../../gpu-worker/training/tune-encoder.ts";
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

describe("what fits in the time", () => {
  const below = randomFrom(3);
  const cases = Array.from({ length: 600 }, () => {
    const epochs = 1 + below(30);
    const maxSeconds = 10 + below(2_000);
    const plan = planTraining({ ...chosen, epochs, maxSeconds }, 50 + below(20_000));
    const step = Math.min(plan.steps, 1 + below(22));
    // From a thousandth to a tenth of the time for a step.
    const secondsPerStep = Math.min(maxSeconds / 40, 10 ** (below(4_000) / 1_000 - 3));
    const secondsPerEvaluation = secondsPerStep * below(5_000) * 0.1;
    const heldOut = { examples: 1 + below(5_000), endPasses: 1 + below(2) };
    const seconds = step * secondsPerStep;
    return { plan, pace: { step, seconds, secondsPerStep, secondsPerEvaluation }, heldOut };
  });

  /** Of the steps to come, and of the evaluations. */
  const secondsOf = ({ plan, pace, heldOut }: (typeof cases)[number], fit: TimeFit) => {
    const { count, examples, examplesAtEnd } = fit.evaluations ?? {
      count: evaluationsIn(shortenPlan(plan, fit)),
      examples: heldOut.examples,
      examplesAtEnd: heldOut.examples,
    };
    const judged = count * examples + heldOut.endPasses * examplesAtEnd;
    return {
      steps: (fit.steps - pace.step) * pace.secondsPerStep,
      judging: (judged / heldOut.examples) * pace.secondsPerEvaluation,
    };
  };

  it("is at most what is planned, and a step more than are taken", () => {
    for (const each of cases) {
      const { plan, pace, heldOut } = each;
      const { steps, evaluations } = fitInTime(plan, pace, heldOut);
      expect(steps).toBeLessThanOrEqual(plan.steps);
      expect(steps).toBeGreaterThanOrEqual(Math.min(plan.steps, pace.step + 1));
      if (evaluations === null) continue;
      const { count, examples, examplesAtEnd } = evaluations;
      expect(examples).toBeGreaterThan(0);
      expect(examples).toBeLessThanOrEqual(examplesAtEnd);
      expect(examplesAtEnd).toBeLessThanOrEqual(heldOut.examples);
      expect(evaluationsIn(shortenPlan(plan, { steps, evaluations }))).toBeLessThanOrEqual(count);
    }
  });

  it("ends in time, and leaves steps 85 % of it or all that they need, whatever the pace", () => {
    const seen = { whole: 0, shortened: 0, judgedLess: 0 };
    for (const each of cases) {
      const { plan, pace, heldOut } = each;
      const fit = fitInTime(plan, pace, heldOut);
      const { steps, judging } = secondsOf(each, fit);
      // One row of each evaluation is judged at least, and one step is taken.
      const least = (3 * pace.secondsPerEvaluation) / heldOut.examples + pace.secondsPerStep;
      const left = plan.maxSeconds - pace.seconds;
      expect(steps + judging).toBeLessThanOrEqual(left + least);
      if (fit.evaluations !== null) seen.judgedLess += 1;
      if (fit.steps === plan.steps) {
        seen.whole += 1;
        continue;
      }
      seen.shortened += 1;
      expect(pace.seconds + steps + least).toBeGreaterThanOrEqual(plan.maxSeconds * 0.85);
    }
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(20);
  });

  it("judges everything where the time is enough for all", () => {
    const plan = planTraining(chosen, 1_000);
    const pace = { step: 20, seconds: 0.2, secondsPerStep: 0.01, secondsPerEvaluation: 0.5 };
    const heldOut = { examples: 500, endPasses: 1 };
    expect(fitInTime(plan, pace, heldOut)).toEqual({ steps: plan.steps, evaluations: null });
  });

  it("is training, where held-out rows alone would take up all the time", () => {
    const plan = planTraining({ ...chosen, maxSeconds: 900 }, 14_000);
    const pace = { step: 3, seconds: 12, secondsPerStep: 4, secondsPerEvaluation: 400 };
    const fit = fitInTime(plan, pace, { examples: 3_250, endPasses: 1 });
    expect(fit.steps).toBeGreaterThan(185);
    expect(fit.evaluations?.count).toBeGreaterThan(1);
    expect(fit.evaluations?.examples).toBeGreaterThanOrEqual(100);
  });

  it("has a rate that falls to nothing at its end", () => {
    for (const { plan, pace, heldOut } of cases) {
      const short = shortenPlan(plan, fitInTime(plan, pace, heldOut));
      const last = learningRateAt(short, short.steps - 1);
      expect(last / plan.learningRate).toBeCloseTo(1 / (short.steps + 1 - short.warmup), 6);
      expect(short.evaluateEvery).toBeLessThanOrEqual(short.steps);
    }
  });
});

describe("steps that become slower", () => {
  const heldOut = { examples: 1_000, endPasses: 1 };
  const secondsPerEvaluation = 10;
  const whole = planTraining({ ...chosen, epochs: 5, batch: 32, maxSeconds: 900 }, 9_000);

  /** All of a training, whose steps take so many times as long from a part of it on. */
  function trained(slower: number, from: number) {
    const paceAt = (step: number) => 0.63 * (step < from * whole.steps ? 1 : slower);
    let [step, seconds, stepping] = [20, 0, 0];
    for (let at = 0; at < step; at += 1) stepping += paceAt(at);
    seconds = stepping;
    const measured = () => ({
      step,
      seconds,
      secondsPerStep: stepping / step,
      secondsPerEvaluation,
    });
    const fit = fitInTime(whole, measured(), heldOut);
    const rates: number[] = [];
    let plan = shortenPlan(whole, fit);
    let slowed: Slowed | null = null;
    while (step < plan.steps) {
      rates.push(learningRateAt(plan, step, slowed));
      stepping += paceAt(step);
      seconds += paceAt(step);
      step += 1;
      const looks = step < plan.steps && isLookedAt(step, fit.steps);
      const end = looks ? endInTime(plan, measured(), heldOut, fit.evaluations) : null;
      if (end !== null) {
        slowed = { step, rate: learningRateAt(plan, step, slowed), steps: fit.steps };
        plan = { ...plan, steps: end };
      }
      if (step % plan.evaluateEvery === 0) seconds += secondsPerEvaluation;
    }
    return { step, planned: fit.steps, seconds, rates, slowed };
  }

  const slowdowns = [1.1, 1.3, 1.6, 2].flatMap((slower) =>
    [0.03, 0.2, 0.5, 0.8].map((from) => [slower, from] as const),
  );

  it.each(slowdowns)("by %f from %f on end in time, at a rate of nothing", (slower, from) => {
    const { step, planned, seconds, rates } = trained(slower, from);
    expect(seconds).toBeLessThan(whole.maxSeconds);
    expect(seconds).toBeGreaterThan(0.85 * whole.maxSeconds);
    expect(step).toBeLessThanOrEqual(planned);
    expect(rates.at(-1)).toBeLessThan(0.05 * whole.learningRate);
    // Neither rises nor jumps.
    for (const [at, rate] of rates.slice(whole.warmup, -1).entries()) {
      const next = rates[whole.warmup + at + 1] ?? NaN;
      expect(next).toBeLessThanOrEqual(rate);
      expect(rate - next).toBeLessThan(0.05 * whole.learningRate);
    }
  });

  it("do not, where they take as long as the first ones", () => {
    const { step, planned, slowed } = trained(1, 0);
    expect(slowed).toBeNull();
    expect(step).toBe(planned);
  });
});

let bench: CatalogBench;

beforeEach(async () => {
  bench = await openCatalogBench();
  await writeTinyEncoder(bench.local("tiny"));
});

afterEach(() => bench.close());

async function prepared() {
  const lines = madeTexts(200).map((text) => ({ text, label: String(text.includes("quick")) }));
  const file = await writeLines(path.join(bench.folder, "train.jsonl"), lines);
  const training = () => openDataSource(file, never);
  const read = await readTrainingData({ training, validation: null }, { seed: 1, signal: never });
  if (read.task !== "text-classification") throw new TypeError(read.task);
  const upstream = { baseName: "tiny", baseDigest: "0".repeat(64) };
  const base = { id: "tiny", folder: bench.local("tiny"), upstream };
  const reading = { virtualTokens: 0, signal: never };
  return await prepareTuning(base, textTuning(read.task, read.data), reading);
}

type Watching = { onEvaluation?: (step: number) => void; secondsPerStep?: () => number };

/** @returns the steps at which its schedule was to end, each time that it was shortened */
async function train(
  out: string,
  signal: AbortSignal,
  { onEvaluation = () => undefined, secondsPerStep = () => 2 }: Watching = {},
): Promise<number[]> {
  const tuning = await prepared();
  const log = { info: () => undefined, warn: () => undefined };
  const runtime = await openRuntime({ log, only: "c-api", threads: 1 });
  const from = await readTraining(stateFolderOf(out), "same");
  const examples = tuning.facts.lengths.training.length;
  const shortened: number[] = [];
  let seconds = 0;
  await tuneEncoder({
    prepared: tuning,
    plan: planTraining({ ...chosen, maxSeconds: 600 }, examples),
    from,
    name: "tuned",
    out,
    fingerprint: "same",
    saveEverySeconds: 1e9,
    runtime,
    serve: null,
    events: {
      onStep: () => (seconds += secondsPerStep()),
      onEvaluation: ({ step }) => onEvaluation(step),
      onShortened: ({ steps }) => shortened.push(steps),
      onUnserved: () => undefined,
      onSmaller: () => undefined,
      onSave: () => undefined,
    },
    now: () => seconds * 1000,
    signal,
  });
  return shortened;
}

function inTime(steps: number | undefined) {
  return {
    reason: "time_limit",
    detail: `there is time for ${steps} of 400 steps in 600 seconds`,
  };
}

it("a training that is short of time ends by its schedule, and goes on to the same end", async () => {
  const whole = bench.local("whole");
  const [steps] = await train(whole, never);
  const { stopped } = reportOf(whole);
  expect(stopped).toEqual(inTime(steps));
  const broken = bench.local("broken");
  const interruption = new AbortController();
  const onEvaluation = (step: number) => {
    if (step > (steps ?? 0) / 2) interruption.abort(new Error("stop"));
  };
  const told = train(broken, interruption.signal, { onEvaluation });
  await expect(told).rejects.toThrow("stop");
  expect(await train(broken, never)).toEqual([]);
  const weights = [whole, broken].map((out) => readFileSync(path.join(out, "model.safetensors")));
  expect(weights[0]?.equals(weights[1] ?? Buffer.of())).toBe(true);
  expect(reportOf(broken).stopped).toEqual(stopped);
});

it("a training that becomes slower ends by a schedule all the same, gone on with or not", async () => {
  const evaluated = { times: 0 };
  const secondsPerStep = () => (evaluated.times > 0 ? 4 : 2);
  const [whole, broken] = [bench.local("whole"), bench.local("broken")];
  const onEvaluation = () => (evaluated.times += 1);
  const ends = await train(whole, never, { onEvaluation, secondsPerStep });
  expect(ends.length).toBeGreaterThan(1);
  expect(ends).toEqual(ends.toSorted((one, other) => other - one));
  expect(reportOf(whole).stopped).toEqual(inTime(ends.at(-1)));
  evaluated.times = 0;
  const interruption = new AbortController();
  const interrupt = () => {
    evaluated.times += 1;
    if (evaluated.times === 3) interruption.abort(new Error("stop"));
  };
  const told = train(broken, interruption.signal, { onEvaluation: interrupt, secondsPerStep });
  await expect(told).rejects.toThrow("stop");
  const state = await readTraining(stateFolderOf(broken), "same");
  expect(state?.progress.slowed).not.toBeNull();
  const later = await train(broken, never, { secondsPerStep });
  expect(reportOf(broken).stopped).toEqual(inTime(later.at(-1) ?? state?.progress.steps ?? 0));
});
