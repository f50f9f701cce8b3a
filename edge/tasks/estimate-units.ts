/**
 * What a job will probably cost, in tokens, before any tokenizer has seen it: reserved at admission and replaced by
 * what the worker really read and made. Cheap on purpose. Never more than the model can read of a text, nor make of it,
 * nor than a request may hold.
 */
import { limits } from "#contract/limits.ts";
import { taskTable } from "#contract/task-table.ts";
import type { Readings, WindowRules } from "#contract/task.ts";
import type { Task, TaskInput, TaskParameters } from "#contract/tasks.ts";
import type { ModelListing } from "../registry/merge-models.ts";

/** A model's opening and closing token. */
const specialTokens = 2;
/** Where a model has not told its own. */
const maxTokensDefault = 512;

/** Tokens of known words hold four to five letters, of letters thrown together about one and a half. */
const lettersPerToken = 2.5;
const digitsPerToken = 2;
/** Of a run of white space past the first, which belongs to the word beside it; and of control characters. */
const tokensPerSpace = 0.5;

/**
 * Past ASCII: half of the UTF-8 bytes. A tokenizer of bytes makes at most twice that; one of characters or words made
 * for the script, a little less.
 */
const tokensBeyondAscii = { twoBytes: 1, threeBytes: 1.5, surrogate: 1 } as const;

/** Single characters that normalisation (NFKC) writes out as several words. */
const writtenOut: readonly { from: number; to: number; tokens: number }[] = [
  { from: 0x3300, to: 0x33ff, tokens: 3 },
  { from: 0xfdf0, to: 0xfdff, tokens: 9 },
];

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
  const { reads, readsOnce, readsInWindows, windows, makes } = taskTable[task];
  const vectors = (model.limits?.dimensions ?? null) !== null;
  const maxTokens = model.limits?.maxTokens ?? maxTokensDefault;
  const whole = readsInWindows?.(parameters) ?? false;
  const count = tokenCounter(whole ? limits.tokensPerRequestMax : maxTokens);
  const rules = whole ? windows?.(parameters) : undefined;
  const made = makes?.(parameters, maxTokens) ?? 0;
  let units = 0;
  for (const reading of readsOnce?.(parameters, vectors) ?? []) units += count(reading);
  for (const input of inputs) {
    const readings = reads(input, parameters, vectors);
    const counts = readings.map(count);
    units += rules === undefined ? sumOf(counts) : tokensByWindows(counts, rules, maxTokens);
    units += made;
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

/**
 * How many tokens a text probably has, before any tokenizer has seen it: one pass over its UTF-16 units, which ends
 * where the model would stop reading. Of prose at most twice what it has; of anything at least half of what a tokenizer
 * that knows words makes of it, and a third of what one does that knows hardly any. What a script costs differs by
 * tokenizer, from a byte a token to four characters: the estimate is near the dear end.
 * @returns tokens without special ones, at most `tokensMax`
 */
export function estimateTokens(text: string, tokensMax: number): number {
  let tokens = 0;
  let letters = 0;
  let spaces = 0;
  for (let at = 0; at < text.length && tokens < tokensMax; at += 1) {
    const unit = text.charCodeAt(at);
    if (isLetter(unit)) {
      letters += 1;
      continue;
    }
    if (letters > 0) {
      tokens += Math.max(1, letters / lettersPerToken);
      letters = 0;
      spaces = 0;
    }
    if (unit > 0x20) spaces = 0;
    else spaces += 1;
    tokens += unit > 0x20 || spaces > 1 || unit < 0x20 ? tokensOf(unit) : 0;
  }
  if (letters > 0) tokens += Math.max(1, letters / lettersPerToken);
  return Math.min(Math.ceil(tokens), tokensMax);
}

/** A to Z and a to z. */
function isLetter(unit: number): boolean {
  const lower = unit | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}

/** Of any other UTF-16 unit. */
function tokensOf(unit: number): number {
  if (unit <= 0x20) return tokensPerSpace;
  if (unit >= 0x30 && unit <= 0x39) return 1 / digitsPerToken;
  if (unit < 0x80) return 1;
  if (unit < 0x800) return tokensBeyondAscii.twoBytes;
  if (unit >= 0xd800 && unit <= 0xdfff) return tokensBeyondAscii.surrogate;
  const range = writtenOut.find(({ from, to }) => unit >= from && unit <= to);
  return range?.tokens ?? tokensBeyondAscii.threeBytes;
}
