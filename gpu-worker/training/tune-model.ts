/**
 * From a base and files of examples to a tuned model in a folder, with its report: what a command and a job both call.
 * Interrupted or killed, the same call goes on where it was.
 */
import { hash } from "node:crypto";
import type { TrainingReport } from "#contract/training/evaluation-report.ts";
import type { TrainingTask } from "#contract/training/forms.ts";
import { readCheckpoint } from "../checkpoints/checkpoint.ts";
import type { DataSource } from "../datasets/data-file.ts";
import { sha256OfFile } from "../files/file-digest.ts";
import type { Trial } from "../fit/choose-l2.ts";
import { measureGemm } from "../runtime/measure-gemm.ts";
import type { Runtime } from "../runtime/session.ts";
import { answerTuning } from "./answers.ts";
import { DataError } from "./checked-data.ts";
import { type Choice, choosePlan, expectDisk } from "./choose-plan.ts";
import { readTrainingData } from "./read-training-data.ts";
import type { TrainingData } from "./read-training-data.ts";
import type { Score } from "./run-training.ts";
import { textTuning } from "./text-classes.ts";
import type { TextData } from "./text-classes.ts";
import { tokenTuning } from "./token-tags.ts";
import { planTraining } from "./training-plan.ts";
import type { LoraSizes, TrainingPlan } from "./training-plan.ts";
import { type Progress, readTraining } from "./training-state.ts";
import type { TuningData } from "./training-task.ts";
import { type NamedBase, type PreparedTuning, prepareTuning } from "./tune-encoder.ts";
import { stateFolderOf, tuneEncoder } from "./tune-encoder.ts";
import { isHeadData, tuneHead } from "./tune-head.ts";
import { TuningError } from "./tuning-error.ts";

export type TuningOptions = {
  /** What the examples are for. Null: their form says. */
  readonly task: TrainingTask | null;
  readonly strategy: "auto" | TrainingPlan["strategy"];
  /** Of top-k. */
  readonly layers: number;
  /** Null: chosen by how many examples and seconds there are. */
  readonly epochs: number | null;
  /** Null: by the model's width. */
  readonly learningRate: number | null;
  /** Of the rate, given or chosen. */
  readonly learningRateMultiplier: number;
  /** Null: `usualLora`. */
  readonly lora: LoraSizes | null;
  /** Evaluations without a gain of more than `threshold` after which it stops. Null: by how many there are. */
  readonly patience: number | null;
  readonly threshold: number;
  /** Bad examples are left out, and not all of them refused. */
  readonly skipInvalid: boolean;
  readonly batch: number;
  readonly seed: number;
  readonly maxSeconds: number;
};

export type ExampleFile = {
  /** It is read several times. */
  readonly open: () => Promise<DataSource>;
  readonly sha256: string;
};

export type TuningSizes = {
  /** That are trained with. */
  readonly examples: number;
  readonly heldOut: number;
  /** Of an epoch. */
  readonly tokens: number;
};

/** What is to be told as it comes. */
export type TuningEvent =
  | { readonly kind: "choice"; readonly choice: Choice }
  /** It goes on after this step of a training that was interrupted. */
  | { readonly kind: "resumed"; readonly step: number }
  | { readonly kind: "plan"; readonly plan: TrainingPlan; readonly sizes: TuningSizes }
  | { readonly kind: "step"; readonly progress: Progress; readonly secondsLeft: number }
  | { readonly kind: "evaluation"; readonly progress: Progress; readonly score: Score }
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
  /** What it may write. */
  readonly diskBytes: number;
  readonly onEvent: (event: TuningEvent) => void;
  readonly signal: AbortSignal;
};

function dataOf(given: TrainingData): TuningData {
  switch (given.task) {
    case "token-classification":
      return tokenTuning(given.data);
    case "question-answering":
      return answerTuning(given.data);
    default:
      return textTuning(given.task, given.data);
  }
}

/** @throws TuningError for another task's */
function textsIn({ task, data }: TrainingData): TextData {
  if (task === "text-classification") return data;
  throw new TuningError(`a head is fitted on whole texts, not for ${task}: use --strategy full`);
}

const now = () => performance.now();

/**
 * @throws DataError for the data, MemoryError and DiskError for what there is of memory and disk, TuningError for the
 *   base, Error for the folder; the signal's reason, once the state is saved
 */
export async function tuneModel(tuning: Tuning): Promise<TrainingReport> {
  const { base, training, validation, options, name, out, runtime, onEvent, signal } = tuning;
  const files = { training: training.open, validation: validation?.open ?? null };
  const data = await readTrainingData(files, { ...options, signal });
  expectTask(data, options.task);
  const prepared = await prepareTuning(base, dataOf(data), signal);
  const fingerprint = await fingerprintOf(tuning);
  const from = await readTraining(stateFolderOf(out), fingerprint);
  const plan = from?.plan ?? (await decide(tuning, data, prepared));
  if (from !== null) onEvent({ kind: "resumed", step: from.progress.step });
  onEvent({ kind: "plan", plan, sizes: sizesOf(prepared) });
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
      onSave: (step) => onEvent({ kind: "saved", step }),
    },
    now,
    signal,
  });
}

/** @throws DataError */
function expectTask({ task }: TrainingData, wanted: TrainingTask | null): void {
  if (wanted === null || wanted === task) return;
  throw new DataError(`the examples are for ${task}, and ${wanted} was asked for`);
}

function sizesOf({ data, encoded, facts }: PreparedTuning): TuningSizes {
  const tokens = facts.lengths.training.reduce((sum, length) => sum + length, 0);
  return { examples: data.examples, heldOut: encoded.heldOut.rows.length, tokens };
}

/** @throws MemoryError or DiskError */
async function decide(
  { options, runtime, memoryBytes, diskBytes, onEvent, signal }: Tuning,
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
  expectDisk(facts, choice, diskBytes);
  const { seed, maxSeconds, patience, threshold, learningRateMultiplier } = options;
  const learningRate = choice.learningRate * learningRateMultiplier;
  const wanted = { ...choice, learningRate, seed, maxSeconds, patience, threshold };
  return planTraining(wanted, facts.lengths.training.length);
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
