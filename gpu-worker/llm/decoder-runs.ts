/** The two runs of a decoder over its slots: one new token of many texts, and several of one. */
import { int64, tensor } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { KeyValueSlots } from "./key-value-slots.ts";

/** What a slot of a batch is given: its text's new token, or in a slot between others, one that nobody reads. */
export type DecodeRow = {
  readonly token: number;
  /** Of its text, the new token counted. */
  readonly length: number;
  /** Its logits are wanted. */
  readonly asked: boolean;
};

export type DecodeBatch = {
  readonly firstSlot: number;
  readonly rows: readonly DecodeRow[];
};

/** @returns f32 [rows asked, vocabulary], see `KeyValueSlots.run` */
export function runDecode(
  slots: KeyValueSlots,
  { firstSlot: first, rows }: DecodeBatch,
  signal: AbortSignal,
): Promise<Float32Array> {
  const tokens = rows.map(({ token }) => token);
  const asked = rows.flatMap((row, at) => (row.asked ? [at] : []));
  const lengths = rows.map(({ length }) => length);
  const window = { first, count: rows.length, asked: asked.length };
  return slots.run(window, feeds({ tokens, lengths, asked }), signal);
}

/** Tokens of a prompt whose logits are asked for in one run at most: each has those of a whole vocabulary. */
export const scoredTokensMax = 16;

export type PromptPiece = {
  readonly slot: number;
  readonly tokens: readonly number[];
  /** Position of the first of them in its text. */
  readonly from: number;
  /** Indexes of those whose logits are wanted. */
  readonly asked: readonly number[];
};

/** @returns f32 [asked, vocabulary], see `KeyValueSlots.run` */
export function runPrompt(
  slots: KeyValueSlots,
  { slot: first, tokens, from, asked }: PromptPiece,
  signal: AbortSignal,
): Promise<Float32Array> {
  const window = { first, count: 1, asked: asked.length };
  return slots.run(window, feeds({ tokens, lengths: [from + tokens.length], asked }), signal);
}

/** @param tokens the new ones of all texts, of which each has as many */
function feeds({
  tokens,
  lengths,
  asked,
}: {
  tokens: readonly number[];
  lengths: readonly number[];
  asked: readonly number[];
}): Record<string, Tensor> {
  return {
    input_ids: int64([lengths.length, tokens.length / lengths.length], tokens),
    lengths: tensor("int32", [lengths.length], Int32Array.from(lengths)),
    total_length: tensor("int32", [], Int32Array.of(Math.max(...lengths))),
    positions: int64([asked.length], asked),
  };
}
