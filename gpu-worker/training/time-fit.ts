/**
 * A schedule that ends in time: how many steps of a plan fit, told by the seconds that the first of them took, and
 * fewer where later ones take longer. A rate that falls to nothing is worth more than steps that never come (Li et al.,
 * https://arxiv.org/abs/1905.04753). Where not all fit, evaluations give way first: fewer, each of a part of what is
 * held out.
 */
import { sum } from "../tensor/vectors.ts";
import { evaluationsIn, evaluationsOf, shortenPlan } from "./training-plan.ts";
import type { Evaluations, TrainingPlan } from "./training-plan.ts";

export type Pace = {
  /** Taken so far, and the seconds they took, evaluations included. */
  readonly step: number;
  readonly seconds: number;
  readonly secondsPerStep: number;
  /** Of all that is held out. */
  readonly secondsPerEvaluation: number;
};

export type HeldOutSize = {
  /** Examples that are held out. */
  readonly examples: number;
  /** How often all are judged once the training has ended: of the best parameters, and of the base. */
  readonly endPasses: number;
};

export type TimeFit = {
  /** At least one more than are taken, at most as many as are planned. */
  readonly steps: number;
  /** Null: as the plan has them. */
  readonly evaluations: Evaluations | null;
};

/** Of the seconds there are: steps differ in length. */
const share = 0.95;
/** Of those that are left, for evaluations where not all steps fit. */
const evaluationShare = 0.1;
/** Fewer tell too little of which step was the best: rather fewer evaluations. */
const examplesMin = 100;

export function fitInTime(plan: TrainingPlan, pace: Pace, heldOut: HeldOutSize): TimeFit {
  const left = plan.maxSeconds * share - pace.seconds;
  const steps = stepsWithAll(plan, pace, { left, ...heldOut });
  const taken = evaluationsIn(shortenPlan(plan, { steps, evaluations: null })) + heldOut.endPasses;
  const judging = taken * pace.secondsPerEvaluation;
  const least = left * evaluationShare;
  const all = (plan.steps - pace.step) * pace.secondsPerStep + judging;
  if (judging <= least || all <= left) return { steps, evaluations: null };
  const fitting = pace.step + Math.floor((left - least) / pace.secondsPerStep);
  // What steps leave is for evaluations.
  const rest = left - (plan.steps - pace.step) * pace.secondsPerStep;
  const evaluations = evaluationsFor(plan, { room: Math.max(least, rest), ...pace, ...heldOut });
  return { steps: bound(plan, pace, fitting), evaluations };
}

function bound({ steps }: TrainingPlan, { step }: Pace, fitting: number): number {
  return Math.max(Math.min(fitting, steps), Math.min(step + 1, steps));
}

/** With all evaluations of the plan. */
function stepsWithAll(
  plan: TrainingPlan,
  pace: Pace,
  { left, endPasses }: HeldOutSize & { readonly left: number },
): number {
  const { step, secondsPerStep, secondsPerEvaluation } = pace;
  const perEpoch = plan.steps / plan.epochs;
  const few = (left - (evaluationsOf(1) + endPasses) * secondsPerEvaluation) / secondsPerStep;
  const each =
    (left - endPasses * secondsPerEvaluation) / (secondsPerStep + secondsPerEvaluation / perEpoch);
  return bound(plan, pace, step + Math.floor(Math.min(few, each)));
}

/** Those that take no more than `room` seconds, half of it at the end. */
function evaluationsFor(
  { epochs }: TrainingPlan,
  {
    room,
    secondsPerEvaluation: whole,
    examples,
    endPasses,
  }: HeldOutSize & Pick<Pace, "secondsPerEvaluation"> & { readonly room: number },
): Evaluations {
  const affordable = (seconds: number, passes: number) =>
    Math.min(examples, Math.max(1, Math.floor((examples * seconds) / (passes * whole))));
  const atEnd = affordable(room / 2, endPasses);
  const others = room - (endPasses * whole * atEnd) / examples;
  const least = (whole * Math.min(examples, examplesMin)) / examples;
  const count = Math.min(evaluationsOf(epochs), Math.max(1, Math.floor(others / least)));
  return { count, examples: Math.min(atEnd, affordable(others, count)), examplesAtEnd: atEnd };
}

/** So often in a training it is looked at whether it still ends in time. */
const looks = 20;
/** Of the seconds there are: until then it ends in time, as batches and machines differ by some. */
const lateShare = 0.975;

/** Whether to look after this step, of so many. */
export function isLookedAt(step: number, steps: number): boolean {
  return step % Math.ceil(steps / looks) === 0;
}

/**
 * Where steps have become slower than those that the schedule was fitted by: the step at which it is to end instead.
 * @param plan shortened, as is what is judged @returns null: it still ends in time
 */
export function endInTime(
  plan: TrainingPlan,
  pace: Pace,
  { examples, endPasses }: HeldOutSize,
  evaluations: Evaluations | null,
): number | null {
  const secondsOf = (judged = examples) => (pace.secondsPerEvaluation * judged) / examples;
  const atEnd = endPasses * secondsOf(evaluations?.examplesAtEnd);
  const each = pace.secondsPerStep + secondsOf(evaluations?.examples) / plan.evaluateEvery;
  const most = (part: number) => (plan.maxSeconds * part - pace.seconds - atEnd) / each;
  if (plan.steps - pace.step <= most(lateShare)) return null;
  return bound(plan, pace, pace.step + Math.floor(most(share)));
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

/** The steps of one run, timed. Its first counts only while there is no other: memory is laid out in it. */
export class PaceMeter {
  #steps = -1;
  #first = { tokens: 1, seconds: 0 };
  #tokens = 0;
  #seconds = 0;

  add(tokens: number, seconds: number): void {
    this.#steps += 1;
    if (this.#steps === 0) {
      this.#first = { tokens, seconds };
      return;
    }
    this.#tokens += tokens;
    this.#seconds += seconds;
  }

  /**
   * Null: too few steps tell as yet.
   * @param isDue whether it has to be told by those there are
   */
  read(
    plan: TrainingPlan,
    { training, heldOut }: PaceLengths,
    isDue: boolean,
  ): Pick<Pace, "secondsPerStep" | "secondsPerEvaluation"> | null {
    const isSlow = this.#seconds >= plan.maxSeconds * secondsMeasuredShare;
    const enough = this.#steps >= (isSlow ? stepsMeasuredMin : stepsMeasured);
    if (!enough && !isDue) return null;
    const measured =
      this.#steps > 0 ? { tokens: this.#tokens, seconds: this.#seconds } : this.#first;
    const perToken = measured.seconds / measured.tokens;
    return {
      secondsPerStep: (perToken * sum(training) * plan.epochs) / plan.steps,
      secondsPerEvaluation: perToken * sum(heldOut) * forwardShare,
    };
  }
}
