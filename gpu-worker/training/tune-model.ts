/**
 * From a base and files of examples to a tuned model in a folder, with its report: what a command and a job both call.
 * Interrupted or killed, the same call goes on where it was.
 */
import { hash } from "node:crypto";
import path from "node:path";
import type { TrainingReport } from "#contract/training/evaluation-report.ts";
import type { DataReport } from "#contract/training/report.ts";
import { adapterFiles } from "../checkpoints/adapter-files.ts";
import { weightsOf } from "../checkpoints/weights-of.ts";
import type { DataSource } from "../datasets/data-file.ts";
import { sha256OfFile } from "../files/file-digest.ts";
import type { Trial } from "../fit/choose-l2.ts";
import type { Runtime } from "../runtime/session.ts";
import { type Choice, type Limits, expectDisk } from "./choose-plan.ts";
import { decoderBytes, decoderDisk, decoderSeconds } from "./decoder-cost.ts";
import type { SmallerEnd } from "./label-curve.ts";
import type { OpenServed } from "./measure-served.ts";
import { chooseTraining, measureRate, plannedFrom } from "./prepare-training.ts";
import { prepareTraining, wishesOf } from "./prepare-training.ts";
import type { PreparedTraining, ReadData, TrainingWishes } from "./prepare-training.ts";
import type { TuningOptions, TuningSizes } from "./prepare-training.ts";
import { readTrainingData } from "./read-training-data.ts";
import type { Score } from "./run-training.ts";
import type { TimeFit } from "./time-fit.ts";
import type { TextData } from "./text-classes.ts";
import { isAdapterStrategy, planTraining } from "./training-plan.ts";
import type { TrainingPlan } from "./training-plan.ts";
import { type Progress, readTraining } from "./training-state.ts";
import { finishingOf, stateFolderOf } from "./train-in-folder.ts";
import type { TrainingRun } from "./train-in-folder.ts";
import { estimateBytes, estimateDisk, estimateSeconds } from "./training-cost.ts";
import { tryDecoder, tuneDecoder } from "./tune-decoder.ts";
import type { NamedBase } from "./prepare-encoder.ts";
import { tryEncoder, tuneEncoder } from "./tune-encoder.ts";
import type { SearchEnd, SearchTrial } from "./search.ts";
import { searchTraining } from "./search-training.ts";
import type { Searched, TrainingSearch } from "./search-training.ts";
import type { TrialOptions } from "./search-plan.ts";
import { tuneHead } from "./tune-head.ts";
import { TuningError } from "./tuning-error.ts";

export type ExampleFile = {
  /** It is read several times. */
  readonly open: () => Promise<DataSource>;
  readonly sha256: string;
};

/** What is to be told as it comes. */
export type TuningEvent =
  /** Each file is read, and both are compared. */
  | { readonly kind: "data"; readonly report: DataReport }
  | { readonly kind: "choice"; readonly choice: Choice }
  /** It goes on from here of a training that was interrupted. Told before the plan. */
  | { readonly kind: "resumed"; readonly progress: Progress }
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
  /** It takes no more steps. */
  | { readonly kind: "stopped"; readonly stopped: TrainingReport["stopped"] }
  /** It could not be measured as it is served, but as it was trained. */
  | { readonly kind: "unserved"; readonly why: string; readonly error: unknown }
  /** It was trained with fewer examples, to tell how many more would do. */
  | { readonly kind: "smaller"; readonly end: SmallerEnd }
  /** A kill loses nothing up to this step. */
  | { readonly kind: "saved"; readonly step: number }
  /** Of `head`: texts that the base has read, and how strongly a head was held back. */
  | { readonly kind: "read"; readonly done: number; readonly total: number }
  | { readonly kind: "trial"; readonly trial: Trial }
  /** Options that were tried, and how good they were. */
  | { readonly kind: "searched"; readonly trial: SearchTrial }
  /** The trials' time is over before all were run. */
  | ({ readonly kind: "searchOver" } & SearchEnd);

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

/** @throws TuningError for another task's */
function textsIn({ task, data }: ReadData): TextData {
  if (task === "text-classification") return data;
  throw new TuningError(`a head is fitted on whole texts, not for ${task}: use --strategy full`, {
    param: "strategy",
  });
}

const now = () => performance.now();

/**
 * @throws DataError for the data, MemoryError and DiskError for what there is of memory and disk, TuningError for the
 *   base, Error for the folder; the signal's reason, once the state is saved
 */
export async function tuneModel(tuning: Tuning): Promise<TrainingReport> {
  const { base, training, validation, options, signal, onEvent } = tuning;
  const files = { training: training.open, validation: validation?.open ?? null };
  const onReport = (report: DataReport) => onEvent({ kind: "data", report });
  const data = await readTrainingData(files, { ...options, onReport, signal });
  const prepared = await prepareTraining(base, data, { ...options, signal });
  return await (prepared.kind === "encoder"
    ? tuneLabels(tuning, prepared)
    : tuneTexts(tuning, prepared));
}

type Of<K extends PreparedTraining["kind"]> = Extract<PreparedTraining, { kind: K }>;

async function tuneLabels(tuning: Tuning, of: Of<"encoder">): Promise<TrainingReport> {
  const { runtime, onEvent, diskBytes } = tuning;
  const { data, prepared, sizes } = of;
  const { facts } = prepared;
  const run = await planRun(tuning, { sizes, hasHead: true }, (wishes, limits) => {
    const choice = chooseTraining(of, wishes, limits);
    expectDisk(estimateDisk(facts, choice), diskBytes);
    const searched: Searched = {
      // An adapter bears another rate than what it adapts: the rates around its own are none for them.
      strategies: isAdapterStrategy(choice.strategy) ? [choice.strategy] : ["full", "top-k"],
      bytesOf: (each) => estimateBytes(facts, { ...choice, ...each }),
      secondsOf: (each) => estimateSeconds(facts, { ...choice, ...each }, limits.gemmRate),
      train: (trial) => tryEncoder({ prepared, ...trial }),
    };
    return { choice, rows: facts.lengths.training.length, searched };
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

async function tuneTexts(tuning: Tuning, of: Of<"decoder">): Promise<TrainingReport> {
  const { prepared, sizes } = of;
  const run = await planRun(tuning, { sizes, hasHead: false }, (wishes, limits) => {
    const choice = chooseTraining(of, wishes, limits);
    const { facts } = prepared;
    expectDisk(decoderDisk(facts, choice), tuning.diskBytes);
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

type Choose = (
  wishes: TrainingWishes,
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
  if (from !== null) onEvent({ kind: "resumed", progress: from.progress });
  onEvent({ kind: "plan", plan, ...what });
  const events: TrainingRun["events"] = {
    onStep: (progress, secondsLeft) => onEvent({ kind: "step", progress, secondsLeft }),
    onEvaluation: (progress, score) => onEvent({ kind: "evaluation", progress, score }),
    onShortened: (fit) => onEvent({ kind: "shortened", ...fit, heldOut: what.sizes.heldOut }),
    onStopped: (stopped) => onEvent({ kind: "stopped", stopped }),
    onUnserved: (why, error) => onEvent({ kind: "unserved", why, error }),
    onSave: (step) => onEvent({ kind: "saved", step }),
    onSmaller: (end) => onEvent({ kind: "smaller", end }),
  };
  return { ...run, plan, from, events };
}

async function decide(
  { options, runtime, memoryBytes, onEvent, signal }: Tuning,
  run: TrainingSearch["run"],
  choose: Choose,
): Promise<TrainingPlan> {
  const gemmRate = await measureRate(runtime, now, signal);
  const { choice, rows, searched } = choose(wishesOf(options), { gemmRate, memoryBytes });
  onEvent({ kind: "choice", choice });
  const first = plannedFrom(choice, options);
  const { maxSeconds } = options;
  const planOf = (of: TrialOptions) => planTraining({ ...first, ...of }, rows);
  const { trials = 1 } = options;
  if (trials === 1 || choice.strategy === "head") return planOf(first);
  const onTrial = (trial: SearchTrial) => onEvent({ kind: "searched", trial });
  const onOver = (ended: SearchEnd) => onEvent({ kind: "searchOver", ...ended });
  const told = { onTrial, onOver };
  const search = { searched, run, asked: options, trials, first, planOf, memoryBytes, ...told };
  const { best, seconds } = await searchTraining(search);
  return { ...planOf(best), maxSeconds: Math.max(1, maxSeconds - seconds) };
}

/** Of all that decides what comes out but the time that it is given. */
async function fingerprintOf(tuning: Tuning): Promise<string> {
  const { training, validation, signal, base } = tuning;
  const { maxSeconds: _, ...deciding } = tuning.options;
  const options = Object.entries(deciding).toSorted(([a], [b]) => a.localeCompare(b));
  const { files } = await weightsOf(base.folder);
  const { from } = base;
  const adapter = from?.kind === "adapter" && from.folder !== null ? from.folder : null;
  const known = adapter === null ? files : [...files, path.join(adapter, adapterFiles.weights)];
  const weights = await Promise.all(known.map((file) => sha256OfFile(file, signal)));
  const examples = [training, ...(validation === null ? [] : [validation])];
  const digests = [...weights, ...examples.map(({ sha256 }) => sha256)];
  return hash("sha256", JSON.stringify({ options, digests }));
}
