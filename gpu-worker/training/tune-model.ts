/**
 * From a base and files of examples to a tuned model in a folder, with its report: what a command and a job both call.
 * Interrupted or killed, the same call goes on where it was.
 */
import { hash } from "node:crypto";
import type { TrainingReport } from "#contract/training/evaluation-report.ts";
import { readCheckpoint } from "../checkpoints/checkpoint.ts";
import type { DataSource } from "../datasets/data-file.ts";
import { sha256OfFile } from "../files/file-digest.ts";
import type { Trial } from "../fit/choose-l2.ts";
import { measureGemm } from "../runtime/measure-gemm.ts";
import type { Runtime } from "../runtime/session.ts";
import { answerTuning } from "./answers.ts";
import { type Choice, choosePlan } from "./choose-plan.ts";
import { readTrainingData } from "./read-training-data.ts";
import type { TrainingData } from "./read-training-data.ts";
import type { Score } from "./run-training.ts";
import { maskedTuning } from "./masked-texts.ts";
import { similarityTuning } from "./similar-texts.ts";
import { textTuning } from "./text-classes.ts";
import type { TextData } from "./text-classes.ts";
import { tokenTuning } from "./token-tags.ts";
import { planTraining } from "./training-plan.ts";
import type { TrainingPlan } from "./training-plan.ts";
import { type Progress, readTraining } from "./training-state.ts";
import type { TuningData } from "./training-task.ts";
import { type NamedBase, type PreparedTuning, prepareTuning } from "./tune-encoder.ts";
import { stateFolderOf, tuneEncoder } from "./tune-encoder.ts";
import { isHeadData, tuneHead } from "./tune-head.ts";

export type TuningOptions = {
  readonly strategy: "auto" | TrainingPlan["strategy"];
  /** Of top-k. */
  readonly layers: number;
  /** Null: chosen by how many examples and seconds there are. */
  readonly epochs: number | null;
  /** Null: by the model's width. */
  readonly learningRate: number | null;
  readonly batch: number;
  readonly seed: number;
  readonly maxSeconds: number;
};

export type ExampleFile = {
  /** It is read several times. */
  readonly open: () => Promise<DataSource>;
  readonly sha256: string;
};

/** What is to be told as it comes. */
export type TuningEvent =
  | { readonly kind: "choice"; readonly choice: Choice }
  /** It goes on after this step of a training that was interrupted. */
  | { readonly kind: "resumed"; readonly step: number }
  | { readonly kind: "plan"; readonly plan: TrainingPlan; readonly examples: number }
  | { readonly kind: "step"; readonly progress: Progress; readonly secondsLeft: number }
  | { readonly kind: "evaluation"; readonly progress: Progress; readonly score: Score }
  /** Its seconds are not enough for all steps: its schedule ends after so many. */
  | { readonly kind: "shortened"; readonly steps: number }
  /** A kill loses nothing up to this step. */
  | { readonly kind: "saved"; readonly step: number }
  /** Of `head`: texts that the base has read, and how strongly a head was held back. */
  | { readonly kind: "read"; readonly done: number; readonly total: number }
  | { readonly kind: "trial"; readonly trial: Trial };

export type Tuning = {
  readonly base: NamedBase;
  readonly training: ExampleFile;
  /** Null: a share of the training file is held out. */
  readonly validation: ExampleFile | null;
  readonly options: TuningOptions;
  /** Of the tuned model. */
  readonly name: string;
  /** Its folder. It is empty, or holds the state of this very training. */
  readonly out: string;
  /** Seconds between two saved states. */
  readonly saveSeconds: number;
  readonly runtime: Runtime;
  /** What the training may take. */
  readonly memoryBytes: number;
  readonly onEvent: (event: TuningEvent) => void;
  readonly signal: AbortSignal;
};

function dataOf(given: TrainingData): TuningData {
  switch (given.task) {
    case "token-classification":
      return tokenTuning(given.data);
    case "question-answering":
      return answerTuning(given.data);
    case "pretraining":
      return maskedTuning(given.data);
    case "sentence-similarity":
      return similarityTuning(given.data);
    default:
      return textTuning(given.task, given.data);
  }
}

/** @throws Error for another task's */
function textsIn({ task, data }: TrainingData): TextData {
  if (task === "text-classification") return data;
  throw new Error(`a head is fitted on whole texts, not for ${task}: use --strategy full`);
}

const now = () => performance.now();

/**
 * @throws DataError for the data, MemoryError for what there is of memory, Error for the base or the folder; the
 *   signal's reason, once the state is saved
 */
export async function tuneModel(tuning: Tuning): Promise<TrainingReport> {
  const { base, training, validation, options, name, out, runtime, onEvent, signal } = tuning;
  const files = { training: training.open, validation: validation?.open ?? null };
  const data = await readTrainingData(files, { seed: options.seed, signal });
  const prepared = await prepareTuning(base, dataOf(data), signal);
  const fingerprint = await fingerprintOf(tuning);
  const from = await readTraining(stateFolderOf(out), fingerprint);
  const plan = from?.plan ?? (await decide(tuning, data, prepared));
  if (from !== null) onEvent({ kind: "resumed", step: from.progress.step });
  onEvent({ kind: "plan", plan, examples: prepared.data.examples });
  if (plan.strategy === "head") {
    const events = {
      onRead: (done: number, total: number) => onEvent({ kind: "read", done, total }),
      onTrial: (trial: Trial) => onEvent({ kind: "trial", trial }),
    };
    return await tuneHead({ prepared, data: textsIn(data), name, out, runtime, events, signal });
  }
  return await tuneEncoder({
    prepared,
    plan,
    from,
    name,
    out,
    fingerprint,
    saveEverySeconds: tuning.saveSeconds,
    runtime,
    events: {
      onStep: (progress, secondsLeft) => onEvent({ kind: "step", progress, secondsLeft }),
      onEvaluation: (progress, score) => onEvent({ kind: "evaluation", progress, score }),
      onShortened: (steps) => onEvent({ kind: "shortened", steps }),
      onSave: (step) => onEvent({ kind: "saved", step }),
    },
    now,
    signal,
  });
}

/** @throws MemoryError */
async function decide(
  { options, runtime, memoryBytes, onEvent, signal }: Tuning,
  data: TrainingData,
  { facts }: PreparedTuning,
): Promise<TrainingPlan> {
  const { threads } = runtime;
  const measuring = { dtype: "float32", threads, repeats: 3, now, signal } as const;
  const gemmRate = (await measureGemm(runtime, measuring)) * 1e9;
  const wishes = {
    ...options,
    strategy: options.strategy === "auto" ? null : options.strategy,
    headFits: data.task === "text-classification" && isHeadData(data.data),
  };
  const choice = choosePlan(facts, wishes, { gemmRate, memoryBytes });
  onEvent({ kind: "choice", choice });
  const { seed, maxSeconds } = options;
  return planTraining({ ...choice, seed, maxSeconds }, facts.lengths.training.length);
}

/** Of all that decides what comes out but the time that it is given. */
async function fingerprintOf(tuning: Tuning): Promise<string> {
  const { training, validation, signal, base } = tuning;
  const { maxSeconds: _, ...deciding } = tuning.options;
  const options = Object.entries(deciding).toSorted(([a], [b]) => a.localeCompare(b));
  const { weightsFile } = await readCheckpoint(base.folder);
  const weights = await sha256OfFile(weightsFile, signal);
  const digests = [weights, training.sha256, ...(validation === null ? [] : [validation.sha256])];
  return hash("sha256", JSON.stringify({ options, digests }));
}
