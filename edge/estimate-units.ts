/**
 * What a job will probably cost, in tokens, before any tokenizer has seen it: reserved at admission and replaced by what
 * the worker really read. Cheap on purpose. Never more than the model can read of a text, nor than a request may hold.
 */
import * as z from "zod";
import { limits } from "#contract/limits.ts";
import type { Task, TaskInput, TaskParameters } from "#contract/tasks.ts";
import { utf8Bytes } from "./jobs/utf8-bytes.ts";
import type { ModelListing } from "./registry/merge-models.ts";
import { taskTable } from "./task-table.ts";

/** English text in WordPiece or BPE; other scripts come out higher in bytes as they do in tokens. */
const bytesPerToken = 4;
/** A model's opening and closing token. */
const specialTokens = 2;
/** Where a model has not told its own. */
const maxTokensDefault = 512;

const Example = z.object({ text: z.string() });

export type Estimated<T extends Task> = {
  task: T;
  inputs: readonly TaskInput<T>[];
  parameters: TaskParameters<T>;
};

/**
 * A model that makes sentence vectors makes each once and compares: of an input it reads no text twice, and what stands in
 * the parameters (labels, examples) once for all inputs. Any other model reads every pair.
 */
export function estimateUnits<T extends Task>(
  { task, inputs, parameters }: Estimated<T>,
  model: Pick<ModelListing, "limits">,
): number {
  const { reads, readsInWindows } = taskTable[task];
  const inWindows = readsInWindows?.(parameters) ?? false;
  const tokensMax = inWindows
    ? limits.tokensPerRequestMax
    : (model.limits?.maxTokens ?? maxTokensDefault);
  const comparing = (model.limits?.dimensions ?? null) !== null;
  const once = comparing ? onceAmong(textsOf(parameters)) : () => true;
  const count = tokenCounter(tokensMax);
  let units = 0;
  for (const input of inputs) {
    const readings = reads(input, parameters);
    for (const reading of comparing ? new Set(readings) : readings) {
      if (once(reading)) units += count(reading);
    }
    if (units >= limits.tokensPerRequestMax) return limits.tokensPerRequestMax;
  }
  return units;
}

/** @returns false of each of these texts from the second time on; true of any other reading */
function onceAmong(texts: readonly string[]): (reading: unknown) => boolean {
  const unread = new Set<unknown>(texts);
  const all = new Set<unknown>(texts);
  return (reading) => !all.has(reading) || unread.delete(reading);
}

/** Counts each text once, however often it is read: a query stands beside thousands of documents. */
function tokenCounter(tokensMax: number): (reading: string | readonly number[]) => number {
  const known = new Map<string, number>();
  return (reading) => {
    if (typeof reading !== "string") return Math.min(reading.length + specialTokens, tokensMax);
    const tokens = known.get(reading) ?? tokensOfText(reading, tokensMax);
    known.set(reading, tokens);
    return tokens;
  };
}

function tokensOfText(text: string, tokensMax: number): number {
  // UTF-16 units never outnumber bytes, so a long text needs no count of its bytes.
  if (text.length >= tokensMax * bytesPerToken) return tokensMax;
  const tokens = Math.ceil(utf8Bytes(text, 0) / bytesPerToken) + specialTokens;
  return Math.min(tokens, tokensMax);
}

/** The texts of lists in the parameters: labels, or examples, which are objects. */
function textsOf(parameters: object): string[] {
  return Object.values(parameters).flatMap((value) => (Array.isArray(value) ? textsIn(value) : []));
}

function textsIn(list: readonly unknown[]): string[] {
  return list.flatMap((item) => {
    if (typeof item === "string") return [item];
    const example = Example.safeParse(item);
    return example.success ? [example.data.text] : [];
  });
}
