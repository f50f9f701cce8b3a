/**
 * What a job will probably cost, in tokens, before any tokenizer has seen it: reserved at admission and replaced by
 * what the worker really read. Cheap on purpose. Never more than the model can read of a text, nor than a request may
 * hold.
 */
import { limits } from "#contract/limits.ts";
import { taskTable } from "#contract/task-table.ts";
import type { Readings, WindowRules } from "#contract/task.ts";
import type { Task, TaskInput, TaskParameters } from "#contract/tasks.ts";
import type { ModelListing } from "../registry/merge-models.ts";
import { estimateTokens } from "./estimate-tokens.ts";

/** A model's opening and closing token. */
const specialTokens = 2;
/** Where a model has not told its own. */
const maxTokensDefault = 512;

export type Estimated<T extends Task> = {
  task: T;
  inputs: readonly TaskInput<T>[];
  parameters: TaskParameters<T>;
};

/** A text that stands in a request several times is read as often, and counts as often. */
export function estimateUnits<T extends Task>(
  { task, inputs, parameters }: Estimated<T>,
  model: Pick<ModelListing, "limits">,
): number {
  const { reads, readsOnce, readsInWindows, windows } = taskTable[task];
  const vectors = (model.limits?.dimensions ?? null) !== null;
  const maxTokens = model.limits?.maxTokens ?? maxTokensDefault;
  const whole = readsInWindows?.(parameters) ?? false;
  const count = tokenCounter(whole ? limits.tokensPerRequestMax : maxTokens);
  const rules = whole ? windows?.(parameters) : undefined;
  let units = 0;
  for (const reading of readsOnce?.(parameters, vectors) ?? []) units += count(reading);
  for (const input of inputs) {
    const readings = reads(input, parameters, vectors);
    const counts = readings.map(count);
    units += rules === undefined ? sumOf(counts) : tokensByWindows(counts, rules, maxTokens);
    if (units >= limits.tokensPerRequestMax) return limits.tokensPerRequestMax;
  }
  return units;
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/**
 * All windows of the last text, with the others in each. These count double: how much room they leave is what the
 * number of windows hangs on, and an estimate may be half of the truth.
 * @param counts tokens of each text, special ones included
 */
function tokensByWindows(
  counts: readonly number[],
  { shared, length = Infinity, besideMax = 0 }: WindowRules,
  maxTokens: number,
): number {
  const text = (counts.at(-1) ?? 0) - specialTokens;
  const others = sumOf(counts.slice(0, -1));
  const window = Math.min(length, maxTokens);
  const beside = Math.min(2 * others, besideMax) + specialTokens;
  const room = Math.max(1, window - beside);
  const step = room - Math.min(shared, Math.floor(room / 2));
  const count = Math.max(1, Math.ceil((text - room) / step) + 1);
  return text + (count - 1) * (room - step) + count * beside;
}

/** Counts each text once, however often it is read: a query stands beside thousands of documents. */
function tokenCounter(tokensMax: number): (reading: Readings[number]) => number {
  const known = new Map<string, number>();
  return (reading) => {
    if (typeof reading !== "string") {
      const given = "tokens" in reading ? reading.tokens : reading.length;
      return Math.min(given + specialTokens, tokensMax);
    }
    const tokens =
      known.get(reading) ?? Math.min(estimateTokens(reading, tokensMax) + specialTokens, tokensMax);
    known.set(reading, tokens);
    return tokens;
  };
}
