/**
 * What a training would do and cost, told from its files and its base without it: all of each file is judged as it goes
 * by, and the settings are chosen by its beginning, as a training chooses them. Nothing is written.
 */
import type { DataReport } from "#contract/training/report.ts";
import { type TuningPlan, tuningPlanBounds } from "#contract/training/tuning-plan.ts";
import type { DataSource } from "../datasets/data-file.ts";
import { noticesOfData } from "../datasets/data-words.ts";
import { keepHead, type KeptHead } from "../datasets/kept-head.ts";
import type { Runtime } from "../runtime/session.ts";
import {
  chooseTraining,
  measureRate,
  plannedFrom,
  type PreparedTraining,
  prepareTraining,
  type TuningOptions,
  type TuningSizes,
  wishesOf,
} from "./prepare-training.ts";
import { expectUsable, usuallyHeldOut } from "./checked-data.ts";
import { judgeApart } from "./judge-apart.ts";
import { readTrainingData } from "./read-training-data.ts";
import { planTraining, type TrainingPlan } from "./training-plan.ts";
import type { NamedBase } from "./prepare-encoder.ts";

const { sampleBytesMax, warningsMax } = tuningPlanBounds;

export type DryRun = {
  readonly base: NamedBase;
  readonly training: DataSource;
  /** Null: a share of the training file would be held out. */
  readonly validation: DataSource | null;
  readonly options: TuningOptions;
  readonly runtime: Runtime;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  /** What a training may take. */
  readonly memoryBytes: number;
  /** Is told how many bytes of a file have gone by. */
  readonly onProgress: (bytes: number) => void;
  readonly signal: AbortSignal;
};

type Found = Pick<TuningPlan, "split" | "settings" | "estimate">;

const nothing: Found = { split: null, settings: null, estimate: null };

/**
 * @param inWords of what a training would fail with
 * @throws what a source throws; Error where the base cannot be read; the signal's reason
 */
export async function planDryRun(
  run: DryRun,
  inWords: (error: unknown) => NonNullable<TuningPlan["error"]>,
): Promise<TuningPlan> {
  const { base, options, signal, onProgress } = run;
  const training = keepHead(run.training, sampleBytesMax);
  const validation = run.validation === null ? null : keepHead(run.validation, sampleBytesMax);
  const files = { training: training.source, validation: validation?.source ?? null };
  const judging = { base: { id: base.id, folder: base.folder }, charactersMax: sampleBytesMax };
  const report = await judgeApart(files, judging, { signal, onProgress });
  const isWhole = training.isWhole && validation?.isWhole !== false;
  const notices = [
    ...(isWhole ? [] : [partInWords]),
    ...noticesOfData(report, options.labelNames ?? null),
  ];
  try {
    const found = await choose(run, report, { training, validation });
    const warnings = [...notices, ...wordsOfTime(found, options)].slice(0, warningsMax);
    return { ...report, ...found, error: null, warnings };
  } catch (error) {
    signal.throwIfAborted();
    return {
      ...report,
      ...nothing,
      error: inWords(error),
      warnings: notices.slice(0, warningsMax),
    };
  }
}

const partInWords =
  `Of a file of more than ${sampleBytesMax / 2 ** 20} MiB tokens are counted, and the estimate is made, by its ` +
  "beginning; all else is told of the whole file";

type Heads = { readonly training: KeptHead; readonly validation: KeptHead | null };

async function choose(run: DryRun, report: DataReport, heads: Heads): Promise<Found> {
  const { base, options, runtime, now, memoryBytes, signal } = run;
  const { training, validation } = heads;
  expectUsable(report, options.skipInvalid);
  const files = { training: training.open, validation: validation?.open ?? null };
  const data = await readTrainingData(files, { ...options, report, signal });
  const part = await prepareTraining(base, data, { ...options, signal });
  const isWhole = training.isWhole && validation?.isWhole !== false;
  const all = isWhole ? part : grown(part, sizesOf(report));
  const gemmRate = await measureRate(runtime, now, signal);
  const choice = chooseTraining(all, wishesOf(options), { gemmRate, memoryBytes });
  const plan = planTraining(plannedFrom(choice, options), rowsOf(all));
  const { sizes } = all;
  return {
    split: { training_examples: sizes.examples, held_out_examples: sizes.heldOut },
    settings: settingsOf(plan),
    estimate: {
      seconds: choice.seconds,
      units: sizes.tokens * (plan.strategy === "head" ? 1 : plan.epochs),
      memory_bytes: Math.ceil(choice.bytes),
      memory_available_bytes: Math.floor(memoryBytes),
      examples_measured: part.sizes.examples + part.sizes.heldOut,
    },
  };
}

function settingsOf(plan: TrainingPlan): NonNullable<TuningPlan["settings"]> {
  const { strategy, layers, lora, softPrompt, epochs, batch, learningRate, steps } = plan;
  const { labelSmoothing } = plan;
  return {
    strategy,
    layers: strategy === "top-k" ? layers : null,
    lora: strategy === "lora" ? { rank: lora.rank, alpha: lora.alpha } : null,
    virtual_tokens: strategy === "soft-prompt" ? softPrompt.virtualTokens : null,
    n_epochs: epochs,
    batch_size: batch,
    learning_rate: learningRate,
    label_smoothing: labelSmoothing,
    steps,
  };
}

/** Examples of the whole files. */
function sizesOf({ training, validation }: DataReport): Pick<TuningSizes, "examples" | "heldOut"> {
  const { examples } = training;
  if (validation !== null) return { examples, heldOut: validation.examples };
  const heldOut = usuallyHeldOut(examples);
  return { examples: examples - heldOut, heldOut };
}

function rowsOf({ kind, prepared }: PreparedTraining): number {
  return kind === "encoder"
    ? prepared.facts.lengths.training.length
    : prepared.facts.training.length;
}

/** As if all examples were like those of the part, over and over. */
function grown(
  part: PreparedTraining,
  { examples, heldOut }: Pick<TuningSizes, "examples" | "heldOut">,
): PreparedTraining {
  const { sizes } = part;
  const byTraining = examples / Math.max(1, sizes.examples);
  const byHeldOut = heldOut / Math.max(1, sizes.heldOut);
  const more = { examples, heldOut, tokens: Math.round(sizes.tokens * byTraining) };
  if (part.kind === "decoder") {
    const { facts } = part.prepared;
    const training = repeated(facts.training, byTraining);
    const judged = repeated(facts.heldOut, byHeldOut);
    const prepared = { ...part.prepared, facts: { ...facts, training, heldOut: judged } };
    return { ...part, prepared, sizes: more };
  }
  const { facts } = part.prepared;
  const lengths = {
    training: repeated(facts.lengths.training, byTraining),
    heldOut: repeated(facts.lengths.heldOut, byHeldOut),
  };
  return { ...part, prepared: { ...part.prepared, facts: { ...facts, lengths } }, sizes: more };
}

function repeated<T>(list: readonly T[], factor: number): T[] {
  const length = Math.round(list.length * factor);
  return Array.from({ length }, (_, at) => list[at % list.length]).filter(
    (each) => each !== undefined,
  );
}

function wordsOfTime({ estimate }: Found, { maxSeconds }: TuningOptions): string[] {
  if (estimate === null || estimate.seconds <= maxSeconds) return [];
  return [
    `It would take about ${Math.ceil(estimate.seconds)} seconds, and has ${maxSeconds}: it would end early, with the ` +
      "best that it has by then. Give it more, or ask for less",
  ];
}
