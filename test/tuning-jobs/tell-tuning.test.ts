/** What a training says of itself as its job's progress: the seconds that its key is charged. */
import { expect, it } from "vitest";
import type { TuningProgress } from "../../contract/training/tuning-job.ts";
import type { Progress } from "../../gpu-worker/training/training-state.ts";
import type { TuningEvent } from "../../gpu-worker/training/tune-model.ts";
import { planTraining } from "../../gpu-worker/training/training-plan.ts";
import { tuningTeller } from "../../gpu-worker/tuning-jobs/tell-tuning.ts";

const chosen = { epochs: 2, batch: 8, learningRate: 1e-3 };
const plan = planTraining({ ...chosen, strategy: "full", layers: 2, seed: 1, maxSeconds: 900 }, 80);

function teller(trials: number | null) {
  const advanced: TuningProgress[] = [];
  const said: string[] = [];
  const lease = {
    tell: (message: string) => void said.push(message),
    keep: () => undefined,
    advance: (progress: TuningProgress) => void advanced.push(progress),
  };
  const options = { strategy: "auto", maxSeconds: 900, trials, labelNames: null } as const;
  return { tell: tuningTeller(options, lease, () => 0), advanced, said };
}

function trial(seconds: number): TuningEvent {
  const result = { round: 0, candidate: 0, score: 0.5, loss: 1, seconds };
  const options = { strategy: "full", layers: 2, ...chosen } as const;
  return { kind: "searched", trial: { result, options, steps: 8, ofRound: 2, rounds: 2 } };
}

const planned = (maxSeconds: number): TuningEvent => ({
  kind: "plan",
  plan: { ...plan, maxSeconds },
  sizes: { examples: 80, heldOut: 20, tokens: 800 },
  hasHead: true,
});

function progressAt(at: number, seconds: number): Progress {
  const state = {
    steps: null,
    evaluations: null,
    slowed: null,
    metrics: [],
    best: null,
    withoutGain: 0,
  };
  return { step: at, seconds, ...state };
}

const step = (at: number, seconds: number): TuningEvent => ({
  kind: "step",
  progress: progressAt(at, seconds),
  secondsLeft: 5,
});

const smaller: TuningEvent = {
  kind: "smaller",
  end: { labels: 10, score: 0.25, metric: "macro_f1", seconds: 4 },
};

it("counts the seconds of trials before the training and of smaller ones after it", () => {
  const { tell, advanced, said } = teller(2);
  for (const event of [trial(30), trial(20), planned(850), step(1, 2), step(2, 4), smaller])
    tell(event);
  expect(advanced.map(({ seconds }) => seconds)).toEqual([30, 50, 52, 54, 58]);
  expect(advanced.map(({ step: at }) => at)).toEqual([0, 0, 1, 2, 2]);
  expect(advanced.map(({ secondsLeft }) => secondsLeft)).toEqual([null, null, 5, 5, null]);
  expect(said.at(-1)).toBe(
    "Trained with 10 examples, to tell what more would bring: macro F1 0.2500",
  );
});

it("counts those of trials that a process before it made", () => {
  const { tell, advanced } = teller(2);
  for (const event of [planned(850), step(1, 2)]) tell(event);
  expect(advanced.map(({ seconds }) => seconds)).toEqual([52]);
});

it("says why there are fewer steps than it had planned, and nothing where there are all", () => {
  const { tell, said } = teller(null);
  const late = { reason: "time_limit", detail: "900 seconds were over" } as const;
  for (const event of [planned(900), step(7, 900), { kind: "stopped", stopped: late } as const])
    tell(event);
  expect(said.at(-1)).toBe(`Stopped after step 7 of ${plan.steps}: 900 seconds were over`);
  const whole = { reason: "completed", detail: "all 2 epochs" } as const;
  tell(step(plan.steps, 950));
  tell({ kind: "stopped", stopped: whole });
  expect(said.filter((words) => words.startsWith("Stopped"))).toHaveLength(1);
});

it("counts what was trained before it went on from its last step", () => {
  const { tell, advanced } = teller(null);
  const { steps } = plan;
  for (const event of [
    { kind: "resumed", progress: progressAt(steps, 30) } as const,
    planned(900),
    smaller,
  ])
    tell(event);
  const told = { step: steps, steps, trainedTokens: 800 * plan.epochs };
  expect(advanced).toMatchObject([
    { ...told, seconds: 30 },
    { ...told, seconds: 34 },
  ]);
});
