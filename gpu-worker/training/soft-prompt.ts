/**
 * What a soft prompt begins as, and texts behind one: rows of a graph that trains, where the ids of virtual tokens
 * follow the vocabulary's (architectures/virtual-tokens.ts).
 */
import type { DecoderArchitecture } from "../architectures/decoder-architecture.ts";
import { randomFrom } from "../tensor/random.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { layeredWeights, memoryWeights } from "../weights/memory-weights.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import type { LearntRow } from "./learnt-rows.ts";
import { newPrompt } from "./start-tensors.ts";
import type { TrainingPlan } from "./training-plan.ts";
import { TuningError } from "./tuning-error.ts";

/** The words that it begins as, in turn; none: words drawn by chance. @throws TuningError for a text without any */
export async function initialTokens(
  { initialText }: TrainingPlan["softPrompt"],
  tokenizer: Tokenizer,
  signal: AbortSignal,
): Promise<readonly number[]> {
  if (initialText === null) return [];
  const [encoding] = await tokenizer.encode([initialText], { signal });
  const { ids = [] } = encoding ?? {};
  // As PEFT reads it, with the special tokens around a text.
  if (ids.length > 0) return tokenizer.wrap(ids).ids;
  throw new TuningError(
    "the text that a soft prompt begins as has no token: change --initial-text",
  );
}

/** `weights` with a soft prompt. Closing it closes `weights`. @param words see `initialTokens` */
export function withSoftPrompt(
  weights: WeightSource,
  { softPrompt, seed }: Pick<TrainingPlan, "softPrompt" | "seed">,
  {
    architecture: { embeddingScale: scale },
    words,
  }: { readonly architecture: DecoderArchitecture; readonly words: readonly number[] },
): WeightSource {
  const table = weights.names().find((name) => name.endsWith("embed_tokens.weight")) ?? "";
  const options = { table, tokens: softPrompt.virtualTokens, words, scale };
  const start = newPrompt(weights, options, randomFrom(seed));
  return layeredWeights(memoryWeights(start), weights);
}

/** @param count virtual tokens; 0: the rows as they are */
export function behindSoftPrompt(
  rows: readonly LearntRow[],
  { vocabulary, count }: { readonly vocabulary: number; readonly count: number },
): readonly LearntRow[] {
  if (count === 0) return rows;
  const virtual = Array.from({ length: count }, (_, at) => vocabulary + at);
  return rows.map(({ ids, learnt, ...row }) => ({
    ...row,
    ids: [...virtual, ...ids],
    learnt: learnt.map((at) => at + count),
  }));
}
