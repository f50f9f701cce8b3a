/** What an adapter of low rank learns of a task, and what its linear classifier reads: the task as it is served. */
import type { TrainingTask } from "#contract/training/forms.ts";
import type { EncoderTask } from "../architectures/training-encoder.ts";
import { type AdapterTask, answerEnds, classifierOf } from "../checkpoints/adapter-folder.ts";
import type { HeadPooling } from "../model/pooling.ts";
import { TuningError } from "./tuning-error.ts";

export type LearntTask = {
  readonly task: AdapterTask;
  readonly pooling: HeadPooling;
  /** The classifier's layer. */
  readonly classifier: string;
  /** That the classifier reads, side by side. */
  readonly vectors: number;
  /** Factor of the learning rate for it. */
  readonly headRate: number;
  /** Of its rows; null: those of the data. */
  readonly labels: readonly string[] | null;
  /** @param full what the graph of a whole checkpoint learns */
  graphTask(full: EncoderTask): EncoderTask;
};

type Learnt = Pick<LearntTask, "pooling" | "vectors" | "graphTask"> &
  Partial<Pick<LearntTask, "labels" | "headRate">>;

const learnt: Readonly<Record<AdapterTask, Learnt>> = {
  "text-classification": {
    pooling: "mean",
    vectors: 1,
    graphTask: (full) =>
      full.name === "sequence-classification" ? { ...full, pooling: "mean" } : full,
  },
  "token-classification": { pooling: "none", vectors: 1, graphTask: (full) => full },
  "question-answering": {
    pooling: "none",
    vectors: 1,
    graphTask: (full) => full,
    labels: answerEnds,
  },
  "relation-extraction": {
    pooling: "marks",
    vectors: 3,
    // Of 3,000 examples in 3 epochs, macro-F1 after 228 of 282 steps: 0.751, by one rate for all 0.702.
    headRate: 5,
    graphTask: () => ({ name: "relation" }),
  },
};

/** @throws TuningError for a task that no adapter is served for */
export function learntTask(task: TrainingTask): LearntTask {
  if (task in learnt) {
    const known = task as AdapterTask;
    return {
      task: known,
      classifier: classifierOf(known),
      labels: null,
      headRate: 1,
      ...learnt[known],
    };
  }
  throw new TuningError(`no adapter is trained for ${task}: use --strategy full`, {
    param: "strategy",
  });
}

/**
 * SemEval-2010 task 8, 5,400 examples: macro-F1 0.797 after 5 epochs, 0.793 after 8.5: the loss had risen again. AG
 * News, 9,000: the loss was least after 2.4 epochs of 4.
 */
const examplesSeen: Partial<Record<TrainingTask, number>> = {
  "relation-extraction": 27_000,
  "text-classification": 27_000,
};

/** Examples that an adapter for it does best to go through, in all epochs; null: as many as any training. */
export function adapterExamplesOf(task: TrainingTask): number | null {
  return examplesSeen[task] ?? null;
}
