/**
 * Chooses how strongly a head is held back, by its accuracy on rows that did not train it. From strong to weak, each
 * fit starting where the last ended; once the accuracy has fallen twice in a row, weaker ones are not tried.
 */
import { fitHead, type FittedHead } from "./fit-head.ts";
import type { LabelledRows } from "./softmax-loss.ts";

export type Trial = { l2: number; accuracy: number };

export type Choice = {
  l2: number;
  /** Fitted on the training rows alone. */
  head: FittedHead;
  trials: Trial[];
};

export type ChoiceOptions = {
  classCount: number;
  /** From strong to weak. */
  candidates: readonly number[];
  signal?: AbortSignal;
  onTrial?(trial: Trial): void;
};

export const usualL2: readonly number[] = [1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 3e-4, 1e-4];

/** Falls in a row that end the search. */
const fallsMax = 2;

export async function chooseL2(
  training: LabelledRows,
  heldOut: LabelledRows,
  options: ChoiceOptions,
): Promise<Choice> {
  const trials: Trial[] = [];
  let best: (Trial & { head: FittedHead }) | null = null;
  let last: { head: FittedHead; accuracy: number } | null = null;
  let falls = 0;
  for (const l2 of options.candidates) {
    const start = last === null ? {} : { start: last.head };
    const head = await fitHead(training, { ...options, l2, ...start });
    const accuracy = accuracyOf(head, heldOut);
    trials.push({ l2, accuracy });
    options.onTrial?.({ l2, accuracy });
    falls = last !== null && accuracy < last.accuracy ? falls + 1 : 0;
    last = { head, accuracy };
    if (best === null || accuracy > best.accuracy) best = { l2, accuracy, head };
    if (falls === fallsMax) break;
  }
  if (best === null) throw new RangeError("there is no strength to choose from");
  return { l2: best.l2, head: best.head, trials };
}

/** Share of rows whose class the head ranks first. */
export function accuracyOf(head: FittedHead, { features, width, classes }: LabelledRows): number {
  let right = 0;
  for (const [row, wanted] of classes.entries()) {
    if (bestClass(head, features.subarray(row * width, (row + 1) * width)) === wanted) right += 1;
  }
  return right / classes.length;
}

function bestClass({ weight, bias }: FittedHead, features: Float32Array): number {
  let best = 0;
  let most = -Infinity;
  for (let label = 0, at = 0; label < bias.length; label += 1) {
    let logit = bias[label] ?? 0;
    for (const feature of features) logit += (weight[at++] ?? 0) * feature;
    if (logit > most) [most, best] = [logit, label];
  }
  return best;
}
