/** What `auto` chooses: the strategy that is likely to gain most of those that end in time. Pure. */
import { estimateBytes, estimateSeconds } from "./training-cost.ts";
import type { CostFacts, CostOptions } from "./training-cost.ts";
import { type LoraSizes, type SoftPromptStart, type TrainingPlan } from "./training-plan.ts";
import { usualLora, usualSoftPrompt } from "./training-plan.ts";
import { TuningError } from "./tuning-error.ts";

export type Wishes = {
  /** Null: to be chosen. */
  readonly strategy: TrainingPlan["strategy"] | null;
  /** Absent or null: as usual. A head has none. */
  readonly labelSmoothing?: number | null;
  readonly epochs: number | null;
  readonly learningRate: number | null;
  /** Of top-k. Null: as usual. */
  readonly layers: number | null;
  readonly lora?: LoraSizes | null;
  readonly softPrompt?: SoftPromptStart | null;
  readonly batch: number;
  readonly maxSeconds: number;
  /** Whether the examples are such that a head alone is fitted on them. */
  readonly headFits: boolean;
  /** Whether it is words that are classified. */
  readonly isTagging: boolean;
  /** Whether an adapter learns more than a checkpoint of its own, by what its classifier reads. */
  readonly adapterGains: boolean;
  /** That a training of adapters goes through, in all its epochs; null: as many as others. */
  readonly adapterExamples: number | null;
};

export type Limits = {
  /** Operations a second. */
  readonly gemmRate: number;
  /** What it may take. */
  readonly memoryBytes: number;
};

export type Choice = Required<CostOptions> & {
  readonly learningRate: number;
  readonly seconds: number;
  /** Of memory, at most. */
  readonly bytes: number;
};

/** More examples need fewer passes; early stopping ends those that need less. */
const examplesSeen = 60_000;
const epochsMax = 20;
/** What did best for an encoder 384 wide; wider ones bear less. Tags are many to an example, and bear more. */
const rate = { value: 2e-4, ofTags: 3e-4, hidden: 384 };

/** That top-k trains where nothing is said. */
const usualLayers = 2;

/** @param there layers of the base @throws TuningError where more are asked for */
export function layersOf({ layers }: Pick<Wishes, "layers">, there: number): number {
  if (layers === null) return Math.min(usualLayers, there);
  if (layers <= there) return layers;
  throw new TuningError(
    `--layers is ${layers}, and the base has ${there}: lower it to ${there} at most`,
    { param: "layers" },
  );
}

/** Adapters bear more than what they adapt. */
export const loraRate = 5;

/** A soft prompt is few numbers, far from everything that is judged. */
const softPromptRate = 50;

function rateOf(
  strategy: TrainingPlan["strategy"],
  { isTagging }: Pick<Wishes, "isTagging">,
  { hidden }: Pick<CostFacts, "hidden">,
): number {
  const scales = { full: 1, "top-k": 1, head: 1, lora: loraRate, "soft-prompt": softPromptRate };
  const scale = scales[strategy];
  const usual = isTagging && scale === 1 ? rate.ofTags : rate.value;
  return (scale * usual * rate.hidden) / hidden;
}

/** Training that is too large for the memory there is. */
export class MemoryError extends TuningError {}

/** Or for the room there is on the disk. */
export class DiskError extends Error {}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)} MB`;
}

/** @throws DiskError */
export function expectDisk(needed: number, diskBytes: number): void {
  if (needed <= diskBytes) return;
  throw new DiskError(
    `training writes about ${megabytes(needed)} and there are ${megabytes(diskBytes)} on the disk: ` +
      "free some, or train less with --strategy lora or head",
  );
}

export function memoryInWords(taken: number, there: number): string {
  return `training takes about ${megabytes(taken)} of memory and there are ${megabytes(there)}`;
}

/** @throws MemoryError where nothing that was asked for fits; TuningError for more layers than there are */
export function choosePlan(facts: CostFacts, wishes: Wishes, limits: Limits): Choice {
  const { batch } = wishes;
  const layers = layersOf(wishes, facts.layers);
  const strategies = wishes.strategy === null ? usualStrategies(wishes) : [wishes.strategy];
  const candidates = strategies.flatMap((strategy) => {
    const learningRate = wishes.learningRate ?? rateOf(strategy, wishes, facts);
    return passesOf(strategy, wishes, facts.lengths.training.length).map((epochs) => {
      const lora = wishes.lora ?? usualLora;
      const softPrompt = wishes.softPrompt ?? usualSoftPrompt;
      const options = { strategy, layers, lora, softPrompt, epochs, batch };
      const seconds = estimateSeconds(facts, options, limits.gemmRate);
      return { ...options, learningRate, seconds, bytes: estimateBytes(facts, options) };
    });
  });
  const fitting = candidates.filter(({ bytes }) => bytes <= limits.memoryBytes);
  const chosen = fitting.find(({ seconds }) => seconds <= wishes.maxSeconds) ?? fitting.at(-1);
  if (chosen !== undefined) return chosen;
  const least = Math.min(...candidates.map(({ bytes }) => bytes));
  throw new MemoryError(
    `${memoryInWords(least, limits.memoryBytes)}: ` +
      "lower --batch, shorten the texts, or train less with --strategy top-k or head",
  );
}

function usualStrategies(wishes: Wishes): TrainingPlan["strategy"][] {
  const { headFits, adapterGains, labelSmoothing = null } = wishes;
  const head = headFits && labelSmoothing === null ? (["head"] as const) : [];
  return adapterGains ? ["lora", ...head] : ["full", "top-k", ...head];
}

/** Epochs: those that are asked for, or as many as do best, then one fewer each, down to one. */
function passesOf(
  strategy: TrainingPlan["strategy"],
  { epochs, adapterExamples }: Wishes,
  examples: number,
): number[] {
  if (epochs !== null) return [epochs];
  const seen = strategy === "lora" ? (adapterExamples ?? examplesSeen) : examplesSeen;
  const most = Math.min(epochsMax, Math.max(1, Math.round(seen / examples)));
  return Array.from({ length: most }, (_, at) => most - at);
}
