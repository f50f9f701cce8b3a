/**
 * What a soft prompt begins as, and texts behind one: rows of a graph that trains, where the ids of virtual tokens
 * follow the vocabulary's (architectures/virtual-tokens.ts). Of decoders and encoders alike.
 */
import { wordTable } from "../architectures/embedding.ts";
import { virtualTokensMax } from "../model/virtual-tokens.ts";
import { randomFrom } from "#contract/random.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { layeredWeights, memoryWeights } from "../weights/memory-weights.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { behind } from "../pipelines/text-pairs.ts";
import type { TokenRow } from "./encode-texts.ts";
import type { LearntRow } from "./learnt-rows.ts";
import { picked } from "./served-rows.ts";
import { newPrompt } from "./start-tensors.ts";
import type { TrainingPlan } from "./training-plan.ts";
import type { BatchData, EncodedData, HeldOutPart } from "./training-task.ts";
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

const wordTables = ["embed_tokens.weight", wordTable];

/** `weights` with a soft prompt. Closing it closes `weights`. @param words see `initialTokens` */
export function withSoftPrompt(
  weights: WeightSource,
  { softPrompt, seed }: Pick<TrainingPlan, "softPrompt" | "seed">,
  {
    scale,
    words,
  }: {
    /** Factor of embedded words. */
    readonly scale: number;
    readonly words: readonly number[];
  },
): WeightSource {
  const table =
    weights.names().find((name) => wordTables.some((each) => name.endsWith(each))) ?? "";
  const options = { table, tokens: softPrompt.virtualTokens, words, scale };
  const start = newPrompt(weights, options, randomFrom(seed));
  return layeredWeights(memoryWeights(start), weights);
}

type VirtualTokens = { readonly vocabulary: number; readonly count: number };

function virtualIds({ vocabulary, count }: VirtualTokens): number[] {
  return Array.from({ length: count }, (_, at) => vocabulary + at);
}

/** @param count virtual tokens; 0: the rows as they are */
export function behindSoftPrompt(
  rows: readonly LearntRow[],
  { vocabulary, count }: VirtualTokens,
): readonly LearntRow[] {
  if (count === 0) return rows;
  const virtual = virtualIds({ vocabulary, count });
  return rows.map(({ ids, learnt, ...row }) => ({
    ...row,
    ids: [...virtual, ...ids],
    learnt: learnt.map((at) => at + count),
  }));
}

/** Of an encoder, whose rows the graph alone reads behind it: what is asked in service has its own. */
export function examplesBehind(encoded: EncodedData, tokens: VirtualTokens): EncodedData {
  const virtual = virtualIds(tokens);
  const after = <D extends BatchData>(rows: readonly TokenRow[], data: D): D => ({
    ...data,
    rowsOf: (indices, draw) =>
      (data.rowsOf?.(indices, draw) ?? picked(rows, indices)).map((row) => behind(virtual, row)),
  });
  const heldOutBehind = (part: HeldOutPart): HeldOutPart => ({
    ...part,
    data: after(part.rows, part.data),
    take: (examples) => heldOutBehind(part.take(examples)),
  });
  const { training, heldOut } = encoded;
  return {
    ...encoded,
    training: { ...training, data: after(training.rows, training.data) },
    heldOut: heldOutBehind(heldOut),
  };
}

/** Of a text in so many tokens, with virtual ones before it. @param least that have to be left @throws TuningError */
export function roomBehind(
  {
    id,
    maxTokens,
    least,
  }: { readonly id: string; readonly maxTokens: number; readonly least: number },
  virtualTokens: number,
): number {
  if (virtualTokens > virtualTokensMax) {
    throw new TuningError(
      `${virtualTokens} virtual tokens are more than are served, ${virtualTokensMax}: lower --virtual-tokens`,
    );
  }
  if (maxTokens - virtualTokens >= least) return maxTokens - virtualTokens;
  throw new TuningError(
    `${id} reads ${maxTokens} tokens, in which ${virtualTokens} virtual ones leave no room: lower --virtual-tokens`,
  );
}
