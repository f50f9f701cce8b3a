/**
 * From a base and files of examples to a tuned model in a folder, with its report: what a command and a job both call.
 * Interrupted or killed, the same call goes on where it was.
 */
import { hash } from "node:crypto";
import type { TrainingReport } from "#contract/training/evaluation-report.ts";
import type { TrainingTask } from "#contract/training/forms.ts";
import { readDecoderCheckpoint } from "../checkpoints/decoder-checkpoint.ts";
import { weightsOf } from "../checkpoints/weights-of.ts";
import type { DataSource } from "../datasets/data-file.ts";
import { sha256OfFile } from "../files/file-digest.ts";
import type { Trial } from "../fit/choose-l2.ts";
import { measureGemm } from "../runtime/measure-gemm.ts";
import type { Runtime } from "../runtime/session.ts";
import { answerTuning } from "./answers.ts";
import { DataError } from "./checked-data.ts";
import { type Choice, type Limits, choosePlan, expectDisk } from "./choose-plan.ts";
import { chooseDecoderPlan } from "./choose-decoder-plan.ts";
import { decoderBytes, decoderDisk, decoderSeconds } from "./decoder-cost.ts";
import type { DecoderData } from "./decoder-data.ts";
import { isDecoderData, readTrainingData } from "./read-training-data.ts";
import type { EncoderData, TrainingData } from "./read-training-data.ts";
import type { Score } from "./run-training.ts";
import { maskedTuning } from "./masked-texts.ts";
import type { OpenServed } from "./measure-served.ts";
import type { TimeFit } from "./time-fit.ts";
import type { PlainTexts } from "./masked-texts.ts";
import { similarityTuning } from "./similar-texts.ts";
import { textTuning } from "./text-classes.ts";
import type { TextData } from "./text-classes.ts";
import { tokenTuning } from "./token-tags.ts";
import { planTraining } from "./training-plan.ts";
import type { LoraSizes, TrainingPlan } from "./training-plan.ts";
import { type Progress, readTraining } from "./training-state.ts";
import type { TuningData } from "./training-task.ts";
import { finishingOf, stateFolderOf } from "./train-in-folder.ts";
import type { TrainingRun } from "./train-in-folder.ts";
import { estimateBytes, estimateDisk, estimateSeconds } from "./training-cost.ts";
import { prepareDecoder, tryDecoder, tuneDecoder } from "./tune-decoder.ts";
import { type NamedBase, prepareTuning, tryEncoder, tuneEncoder } from "./tune-encoder.ts";
import type { SearchTrial } from "./search.ts";
import { searchTraining } from "./search-training.ts";
import type { Searched, TrainingSearch } from "./search-training.ts";
import type { TrialOptions } from "./search-plan.ts";
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
  /** Examples of a step. Null: by the kind of model. */
  readonly batch: number | null;
  readonly seed: number;
  readonly maxSeconds: number;
  /** So many options are tried before the best are trained with. Absent or 1: none. */
  readonly trials?: number;
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
  | {
      readonly kind: "plan";
      readonly plan: TrainingPlan;
      readonly sizes: TuningSizes;
      /** Whether the model has a head that is trained. */
      readonly hasHead: boolean;
    }
  | { readonly kind: "step"; readonly progress: Progress; readonly secondsLeft: number }
  | { readonly kind: "evaluation"; readonly progress: Progress; readonly score: Score }
  /** Its seconds are not enough for all steps: its schedule ends after so many. */
  | ({ readonly kind: "shortened"; readonly heldOut: number } & TimeFit)
  /** It could not be measured as it is served, but as it was trained. */
  | { readonly kind: "unserved"; readonly why: string; readonly error: unknown }
  /** A kill loses nothing up to this step. */
  | { readonly kind: "saved"; readonly step: number }
  /** Of `head`: texts that the base has read, and how strongly a head was held back. */
  | { readonly kind: "read"; readonly done: number; readonly total: number }
  | { readonly kind: "trial"; readonly trial: Trial }
  /** Options that were tried, and how good they were. */
  | { readonly kind: "searched"; readonly trial: SearchTrial };

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
  /** Loads what was tuned, and its base, as they are served; null: nothing here does. */
  readonly serve: OpenServed | null;
  /** What the training may take. */
  readonly memoryBytes: number;
  /** What it may write. */
  readonly diskBytes: number;
  readonly onEvent: (event: TuningEvent) => void;
  readonly signal: AbortSignal;
};

/** Plain texts are read alike for both kinds of model. */
type ReadData = EncoderData | { readonly task: "pretraining"; readonly data: PlainTexts };

function dataOf(given: ReadData): TuningData {
  switch (given.task) {
    case "token-classification":
      return tokenTuning(given.data);
    case "question-answering":
      return answerTuning(given.data);
    case "sentence-similarity":
      return similarityTuning(given.data);
    case "pretraining":
      return maskedTuning(given.data);
    default:
      return textTuning(given.task, given.data);
  }
}

/** @throws TuningError for another task's */
function textsIn({ task, data }: ReadData): TextData {
  if (task === "text-classification") return data;
  throw new TuningError(`a head is fitted on whole texts, not for ${task}: use --strategy full`);
}

const now = () => performance.now();

/**
 * @throws DataError for the data, MemoryError and DiskError for what there is of memory and disk, TuningError for the
 *   base, Error for the folder; the signal's reason, once the state is saved
 */
export async function tuneModel(tuning: Tuning): Promise<TrainingReport> {
  const { training, validation, options, signal } = tuning;
  const files = { training: training.open, validation: validation?.open ?? null };
  const data = await readTrainingData(files, { ...options, signal });
  expectTask(data, options.task);
  if (!isDecoderData(data)) return await tuneLabels(tuning, data);
  const { data: texts } = data;
  const isDecoder = (await readDecoderCheckpoint(tuning.base.folder, null)) !== null;
  if (isDecoder || texts.task !== "pretraining") return await tuneTexts(tuning, texts);
  return await tuneLabels(tuning, { task: texts.task, data: texts });
}

/** @throws DataError */
function expectTask({ task }: TrainingData, wanted: TrainingTask | null): void {
  if (wanted === null || wanted === task) return;
  throw new DataError(`the examples are for ${task}, and ${wanted} was asked for`);
}

async function tuneLabels(tuning: Tuning, data: ReadData): Promise<TrainingReport> {
  const { base, runtime, onEvent, diskBytes, signal } = tuning;
  const prepared = await prepareTuning(base, dataOf(data), signal);
  const { facts, encoded } = prepared;
  const lengths = facts.lengths.training;
  const sizes = {
    examples: prepared.data.examples,
    heldOut: encoded.heldOut.rows.length,
    tokens: lengths.reduce((sum, length) => sum + length, 0),
  };
  const run = await planRun(tuning, { sizes, hasHead: true }, (wishes, limits) => {
    const isTagging = data.task === "token-classification";
    const headFits = data.task === "text-classification" && isHeadData(data.data);
    const batch = wishes.batch ?? usualBatch;
    const choice = choosePlan(facts, { ...wishes, batch, isTagging, headFits }, limits);
    expectDisk(estimateDisk(facts, choice), diskBytes);
    const searched: Searched = {
      strategies: ["full", "top-k"],
      bytesOf: (each) => estimateBytes(facts, { ...choice, ...each }),
      secondsOf: (each) => estimateSeconds(facts, { ...choice, ...each }, limits.gemmRate),
      train: (trial) => tryEncoder({ prepared, ...trial }),
    };
    return { choice, rows: lengths.length, searched };
  });
  if (run.plan.strategy !== "head") return await tuneEncoder({ prepared, ...run });
  const events = {
    onRead: (done: number, total: number) => onEvent({ kind: "read", done, total }),
    onTrial: (trial: Trial) => onEvent({ kind: "trial", trial }),
  };
  const { name } = run;
  return await tuneHead({
    ...finishingOf(run),
    prepared,
    data: textsIn(data),
    name,
    runtime,
    events,
  });
}

async function tuneTexts(tuning: Tuning, data: DecoderData): Promise<TrainingReport> {
  const { base, diskBytes, signal } = tuning;
  const prepared = await prepareDecoder(base, data, signal);
  const { facts } = prepared;
  const sizes = {
    examples: facts.training.length,
    heldOut: facts.heldOut.length,
    tokens: facts.training.reduce((sum, { tokens }) => sum + tokens, 0),
  };
  const run = await planRun(tuning, { sizes, hasHead: false }, (wishes, limits) => {
    const choice = chooseDecoderPlan(facts, wishes, limits);
    expectDisk(decoderDisk(facts, choice), diskBytes);
    const searched: Searched = {
      strategies: [choice.strategy],
      bytesOf: (each) => decoderBytes(facts, { ...choice, ...each }),
      secondsOf: (each) => decoderSeconds(facts, { ...choice, ...each }, limits.gemmRate),
      train: (trial) => tryDecoder({ prepared, ...trial }),
    };
    return { choice, rows: facts.training.length, searched };
  });
  return await tuneDecoder({ prepared, ...run });
}

type Strategies = { readonly strategy: TrainingPlan["strategy"] | null };
type Choose = (
  wishes: Omit<TuningOptions, "strategy"> & Strategies,
  limits: Limits,
) => { readonly choice: Choice; readonly rows: number; readonly searched: Searched };

/** The training that was interrupted, or one of a new plan. @throws MemoryError or DiskError */
async function planRun(
  tuning: Tuning,
  what: { readonly sizes: TuningSizes; readonly hasHead: boolean },
  choose: Choose,
): Promise<TrainingRun> {
  const { name, out, saveSeconds, runtime, serve, onEvent, signal } = tuning;
  const fingerprint = await fingerprintOf(tuning);
  const from = await readTraining(stateFolderOf(out), fingerprint);
  const saved = { fingerprint, saveEverySeconds: saveSeconds };
  const run = { ...saved, name, out, runtime, serve, now, signal };
  const plan = from?.plan ?? (await decide(tuning, run, choose));
  if (from !== null) onEvent({ kind: "resumed", step: from.progress.step });
  onEvent({ kind: "plan", plan, ...what });
  const events: TrainingRun["events"] = {
    onStep: (progress, secondsLeft) => onEvent({ kind: "step", progress, secondsLeft }),
    onEvaluation: (progress, score) => onEvent({ kind: "evaluation", progress, score }),
    onShortened: (fit) => onEvent({ kind: "shortened", ...fit, heldOut: what.sizes.heldOut }),
    onUnserved: (why, error) => onEvent({ kind: "unserved", why, error }),
    onSave: (step) => onEvent({ kind: "saved", step }),
  };
  return { ...run, plan, from, events };
}

/** Examples of an encoder's step. */
const usualBatch = 32;

async function decide(
  { options, runtime, memoryBytes, onEvent, signal }: Tuning,
  run: TrainingSearch["run"],
  choose: Choose,
): Promise<TrainingPlan> {
  const { threads } = runtime;
  const measuring = { dtype: "float32", threads, repeats: 3, now, signal } as const;
  const gemmRate = (await measureGemm(runtime, measuring)) * 1e9;
  const strategy = options.strategy === "auto" ? null : options.strategy;
  const { choice, rows, searched } = choose({ ...options, strategy }, { gemmRate, memoryBytes });
  onEvent({ kind: "choice", choice });
  const { seed, maxSeconds, patience, threshold, learningRateMultiplier } = options;
  const learningRate = choice.learningRate * learningRateMultiplier;
  const first = { ...choice, learningRate, seed, maxSeconds, patience, threshold };
  const planOf = (of: TrialOptions) => planTraining({ ...first, ...of }, rows);
  const { trials = 1 } = options;
  if (trials === 1 || choice.strategy === "head") return planOf(first);
  const onTrial = (trial: SearchTrial) => onEvent({ kind: "searched", trial });
  const search = { searched, run, asked: options, trials, first, planOf, memoryBytes, onTrial };
  const { best, seconds } = await searchTraining(search);
  return { ...planOf(best), maxSeconds: Math.max(1, maxSeconds - seconds) };
}

/** Of all that decides what comes out but the time that it is given. */
async function fingerprintOf(tuning: Tuning): Promise<string> {
  const { training, validation, signal, base } = tuning;
  const { maxSeconds: _, ...deciding } = tuning.options;
  const options = Object.entries(deciding).toSorted(([a], [b]) => a.localeCompare(b));
  const { files } = await weightsOf(base.folder);
  const weights = await Promise.all(files.map((file) => sha256OfFile(file, signal)));
  const examples = [training, ...(validation === null ? [] : [validation])];
  const digests = [...weights, ...examples.map(({ sha256 }) => sha256)];
  return hash("sha256", JSON.stringify({ options, digests }));
}
