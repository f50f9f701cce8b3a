/**
 * All that is known of a training before it is decided how to train, and that decision: what a training begins with,
 * and all that a dry run does.
 */
import { taskProblem, type TrainingTask } from "#contract/training/forms.ts";
import { promptTask } from "../checkpoints/adapter-folder.ts";
import { readDecoderCheckpoint } from "../checkpoints/decoder-checkpoint.ts";
import { measureGemm } from "../runtime/measure-gemm.ts";
import type { Runtime } from "../runtime/session.ts";
import { adapterExamplesOf } from "./adapter-task.ts";
import { answerTuning } from "./answers.ts";
import { DataError } from "./checked-data.ts";
import { chooseDecoderPlan, type DecoderChoice } from "./choose-decoder-plan.ts";
import { type Choice, choosePlan, type Limits } from "./choose-plan.ts";
import { labelSmoothingOf } from "./label-smoothing.ts";
import { maskedTuning } from "./masked-texts.ts";
import type { PlainTexts } from "./masked-texts.ts";
import { isDecoderData } from "./read-training-data.ts";
import type { EncoderData, TrainingData } from "./read-training-data.ts";
import { similarityTuning } from "./similar-texts.ts";
import { hasManyClasses, textTuning } from "./text-classes.ts";
import { tokenTuning } from "./token-tags.ts";
import { isAdapterStrategy, usualSoftPrompt } from "./training-plan.ts";
import type { LoraSizes, SoftPromptStart, TrainingPlan } from "./training-plan.ts";
import type { TuningData } from "./training-task.ts";
import { prepareDecoder } from "./tune-decoder.ts";
import type { PreparedDecoder } from "./tune-decoder.ts";
import { prepareTuning } from "./prepare-encoder.ts";
import { takesAdapters } from "../architectures/encoder.ts";
import type { EncoderReading, NamedBase, PreparedTuning } from "./prepare-encoder.ts";
import { isHeadData } from "./tune-head.ts";
import { TuningError } from "./tuning-error.ts";

export type TuningOptions = {
  /** What the examples are for. Null: their form says. */
  readonly task: TrainingTask | null;
  readonly strategy: "auto" | TrainingPlan["strategy"];
  /** Of top-k. Null: 2, or the one that there is. */
  readonly layers: number | null;
  /** Null: chosen by how many examples and seconds there are. */
  readonly epochs: number | null;
  /** Null: by the model's width. */
  readonly learningRate: number | null;
  /** Of the rate, given or chosen. */
  readonly learningRateMultiplier: number;
  /** Absent or null: as the task gains most. */
  readonly labelSmoothing?: number | null;
  /** Null: `usualLora`. */
  readonly lora: LoraSizes | null;
  /** Absent or null: `usualSoftPrompt`. */
  readonly softPrompt?: SoftPromptStart | null;
  /** Evaluations without a gain of more than `threshold` after which it stops. Null: by how many there are. */
  readonly patience: number | null;
  readonly threshold: number;
  /** Of classes, by their index. Null, absent: those of the data, in their order. */
  readonly labelNames?: readonly string[] | null;
  /** Bad examples are left out, and not all of them refused. */
  readonly skipInvalid: boolean;
  /** Examples of a step. Null: by the kind of model. */
  readonly batch: number | null;
  readonly seed: number;
  readonly maxSeconds: number;
  /** So many options are tried before the best are trained with. Absent or 1: none. */
  readonly trials?: number;
};

export type TuningSizes = {
  /** That are trained with. */
  readonly examples: number;
  readonly heldOut: number;
  /** Of an epoch: those of the examples, without virtual ones before them. */
  readonly tokens: number;
};

/** Plain texts are read alike for both kinds of model. */
export type ReadData = EncoderData | { readonly task: "pretraining"; readonly data: PlainTexts };

export type PreparedTraining =
  | {
      readonly kind: "encoder";
      readonly data: ReadData;
      readonly prepared: PreparedTuning;
      readonly sizes: TuningSizes;
    }
  | { readonly kind: "decoder"; readonly prepared: PreparedDecoder; readonly sizes: TuningSizes };

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

/** @throws DataError */
function expectTask({ task }: TrainingData, wanted: TrainingTask | null): void {
  const problem = taskProblem(wanted, task);
  if (problem !== null) throw new DataError(problem, "task");
}

/** What decides how examples are read. */
type ReadOptions = Pick<TuningOptions, "task" | "strategy" | "softPrompt">;

/** @throws DataError for another task's; TuningError for a base that cannot be trained; the signal's reason */
export async function prepareTraining(
  base: NamedBase,
  data: TrainingData,
  { task, strategy, softPrompt, signal }: ReadOptions & { readonly signal: AbortSignal },
): Promise<PreparedTraining> {
  expectTask(data, task);
  const { virtualTokens: asked } = softPrompt ?? usualSoftPrompt;
  const reading = { virtualTokens: strategy === "soft-prompt" ? asked : 0, signal };
  if (!isDecoderData(data)) return await prepareLabels(base, data, reading);
  const { data: texts } = data;
  const isDecoder = (await readDecoderCheckpoint(base.folder, null)) !== null;
  if (!isDecoder && texts.task === "pretraining")
    return await prepareLabels(base, { task: texts.task, data: texts }, reading);
  const prepared = await prepareDecoder(base, texts, reading);
  const { training, heldOut } = prepared.encoded;
  const tokens = tokensOf(training);
  const sizes = { examples: training.length, heldOut: heldOut.length, tokens };
  return { kind: "decoder", prepared, sizes };
}

async function prepareLabels(
  base: NamedBase,
  data: ReadData,
  reading: EncoderReading,
): Promise<PreparedTraining> {
  if (reading.virtualTokens > 0 && data.task !== promptTask) {
    throw new TuningError(
      `a soft prompt is not trained for ${data.task}, of an encoder for ${promptTask} alone: ` +
        "use --strategy lora or full",
      { param: "strategy" },
    );
  }
  const prepared = await prepareTuning(base, dataOf(data), reading);
  const { training, heldOut } = prepared.encoded;
  const sizes = {
    examples: prepared.data.examples,
    heldOut: heldOut.rows.length,
    tokens: tokensOf(training.rows),
  };
  return { kind: "encoder", data, prepared, sizes };
}

function tokensOf(rows: readonly { readonly ids: readonly number[] }[]): number {
  return rows.reduce((sum, { ids }) => sum + ids.length, 0);
}

/** What is asked for, as what chooses takes it. */
export type TrainingWishes = Omit<TuningOptions, "strategy"> & {
  readonly strategy: TrainingPlan["strategy"] | null;
};

export function wishesOf(options: TuningOptions): TrainingWishes {
  return { ...options, strategy: options.strategy === "auto" ? null : options.strategy };
}

/**
 * What goes on stays what it is, since what serves it is: an adapter one of its base, with its sizes, a checkpoint a
 * checkpoint. @throws TuningError for another
 */
function continuedWishes(
  { kind: of, prepared }: PreparedTraining,
  wishes: TrainingWishes,
): TrainingWishes {
  const { from, start } = prepared;
  const { strategy } = wishes;
  const kind = from?.kind;
  if (kind === undefined) return wishes;
  if (kind === "adapter") {
    if (strategy !== null && strategy !== "lora")
      throw new TuningError("a tuned adapter goes on as lora alone: leave out --strategy", {
        param: "strategy",
      });
    return { ...wishes, strategy: "lora", lora: start?.sizes ?? wishes.lora };
  }
  if (strategy !== null && (strategy === "head" || isAdapterStrategy(strategy)))
    throw new TuningError(
      `${strategy} makes an adapter, which needs a base of the platform: use --strategy full or top-k`,
      { param: "strategy" },
    );
  return { ...wishes, strategy: strategy ?? (of === "decoder" ? "full" : null) };
}

/**
 * Of as many examples an adapter learns what all weights do: AG News, 9,000 texts, accuracy 0.915 and 0.913 at a loss
 * of 0.26 and 0.34; of 400 of them 0.875 and 0.873. SST-2, 60,614 phrases, was trained in full alone.
 */
const adapterTextsMax = 20_000;

/**
 * An adapter's classifier reads the means of a relation's marked parts, or of a text's vectors, which is what sentence
 * encoders are trained for; a checkpoint's own head, the first token's vector.
 * @param arePlain each example is one text with one label
 */
function gainsByAdapter(
  { checkpoint: { head, config }, data, facts }: PreparedTuning,
  arePlain: boolean,
): boolean {
  if (head.name !== "none" || !takesAdapters(config)) return false;
  const areFew = arePlain && facts.lengths.training.length <= adapterTextsMax;
  return data.task === "relation-extraction" || hasManyClasses(data) || areFew;
}

/** Examples of an encoder's step. */
const usualBatch = 32;

/** @throws MemoryError where nothing that was asked for fits; TuningError for a strategy that does not */
export function chooseTraining(
  of: PreparedTraining,
  wishes: TrainingWishes,
  limits: Limits,
): DecoderChoice & Pick<TrainingPlan, "labelSmoothing"> {
  const allowed = continuedWishes(of, wishes);
  const classes = of.kind === "decoder" ? null : of.prepared.data;
  const smoothing = labelSmoothingOf(classes, wishes);
  if (of.kind === "decoder")
    return { ...chooseDecoderPlan(of.prepared.facts, allowed, limits), labelSmoothing: smoothing };
  const { data, prepared } = of;
  const isTagging = data.task === "token-classification";
  const isBare = prepared.from === undefined;
  const headFits = isBare && data.task === "text-classification" && isHeadData(data.data);
  const adapterGains = isBare && gainsByAdapter(prepared, headFits);
  const batch = wishes.batch ?? usualBatch;
  const adapterExamples = hasManyClasses(prepared.data) ? null : adapterExamplesOf(data.task);
  const asked = { ...allowed, batch, isTagging, headFits, adapterGains, adapterExamples };
  const choice = choosePlan(prepared.facts, asked, limits);
  const labelSmoothing = choice.strategy === "head" ? 0 : smoothing;
  return { ...choice, labelSmoothing, recomputes: false };
}

/** The choice with what else was asked for, as a plan is made of it. */
export function plannedFrom<C extends Choice>(
  choice: C,
  { seed, maxSeconds, patience, threshold, learningRateMultiplier }: TuningOptions,
) {
  const learningRate = choice.learningRate * learningRateMultiplier;
  return { ...choice, learningRate, seed, maxSeconds, patience, threshold };
}

/** Operations a second that products of matrices reach here. @param now milliseconds, monotonic */
export async function measureRate(
  runtime: Runtime,
  now: () => number,
  signal: AbortSignal,
): Promise<number> {
  const { threads } = runtime;
  // Rows that are enough for a product to be at its peak.
  const measuring = { dtype: "float32", threads, rows: 1_024, repeats: 3, now, signal } as const;
  return (await measureGemm(runtime, measuring)) * 1e9;
}
