/**
 * A schedule that ends in time: how many steps of a plan fit, told by the seconds that the first of them took. A rate
 * that falls to nothing is worth more than steps that never come (Li et al., https://arxiv.org/abs/1905.04753).
 */
import { evaluationsOf } from "./training-plan.ts";
import type { TrainingPlan } from "./training-plan.ts";

export type Pace = {
  /** Taken so far, and the seconds they took, evaluations included. */
  readonly step: number;
  readonly seconds: number;
  readonly secondsPerStep: number;
  readonly secondsPerEvaluation: number;
};

/** Of the seconds there are: steps differ in length. */
const share = 0.95;

/** At least one more than are taken, at most as many as are planned. */
export function stepsInTime(plan: TrainingPlan, pace: Pace): number {
  const { step, seconds, secondsPerStep, secondsPerEvaluation } = pace;
  const perEpoch = plan.steps / plan.epochs;
  const left = plan.maxSeconds * share - seconds;
  // One more evaluation, of the best parameters, ends it.
  const few = (left - (evaluationsOf(1) + 1) * secondsPerEvaluation) / secondsPerStep;
  const each = (left - secondsPerEvaluation) / (secondsPerStep + secondsPerEvaluation / perEpoch);
  const fitting = step + Math.floor(Math.min(few, each));
  return Math.max(Math.min(fitting, plan.steps), Math.min(step + 1, plan.steps));
}

/** Steps that are measured, or fewer where they are slow. */
const stepsMeasured = 20;
const stepsMeasuredMin = 3;
const secondsMeasuredShare = 0.05;
/** Of a step's seconds that an evaluation of as many tokens takes: it has no gradients. */
const forwardShare = 1 / 3;

export type PaceLengths = {
  /** Tokens of each example. */
  readonly training: readonly number[];
  readonly heldOut: readonly number[];
};

/** The steps of one run, timed. Its first is left out: memory is laid out in it. */
export class PaceMeter {
  #steps = -1;
  #tokens = 0;
  #seconds = 0;

  add(tokens: number, seconds: number): void {
    this.#steps += 1;
    if (this.#steps === 0) return;
    this.#tokens += tokens;
    this.#seconds += seconds;
  }

  /** Null: too few steps tell as yet. */
  read(
    plan: TrainingPlan,
    { training, heldOut }: PaceLengths,
  ): Pick<Pace, "secondsPerStep" | "secondsPerEvaluation"> | null {
    const isSlow = this.#seconds >= plan.maxSeconds * secondsMeasuredShare;
    if (this.#steps < (isSlow ? stepsMeasuredMin : stepsMeasured)) return null;
    const perToken = this.#seconds / this.#tokens;
    return {
      secondsPerStep: (perToken * sum(training) * plan.epochs) / plan.steps,
      secondsPerEvaluation: perToken * sum(heldOut) * forwardShare,
    };
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
