/** The two runs of a decoder over its slots: one new token of many texts, and several of one. */
import type { BoundSession } from "../runtime/bound-session.ts";
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

/** @returns f32 [rows asked, vocabulary] */
export function runDecode(
  slots: KeyValueSlots,
  { firstSlot, rows }: DecodeBatch,
  signal: AbortSignal,
): Promise<Float32Array> {
  const asked = rows.flatMap((row, at) => (row.asked ? [at] : []));
  return runFor(slots.window(firstSlot, rows.length), {
    ids: int64(
      [rows.length, 1],
      rows.map(({ token }) => token),
    ),
    lengths: rows.map(({ length }) => length),
    asked,
    signal,
  });
}

export type PromptPiece = {
  readonly slot: number;
  readonly tokens: readonly number[];
  /** Position of the first of them in its text. */
  readonly from: number;
  /** Indexes of those whose logits are wanted. */
  readonly asked: readonly number[];
};

/** @returns f32 [asked, vocabulary] */
export function runPrompt(
  slots: KeyValueSlots,
  { slot, tokens, from, asked }: PromptPiece,
  signal: AbortSignal,
): Promise<Float32Array> {
  return runFor(slots.window(slot, 1), {
    ids: int64([1, tokens.length], tokens),
    lengths: [from + tokens.length],
    asked,
    signal,
  });
}

type Feeds = {
  ids: Tensor;
  lengths: readonly number[];
  asked: readonly number[];
  signal: AbortSignal;
};

async function runFor(
  window: BoundSession,
  { ids, lengths, asked, signal }: Feeds,
): Promise<Float32Array> {
  const feeds = {
    input_ids: ids,
    lengths: tensor("int32", [lengths.length], Int32Array.from(lengths)),
    total_length: tensor("int32", [], Int32Array.of(Math.max(...lengths))),
    positions: int64([asked.length], asked),
  };
  const { logits } = await window.run(feeds, { signal });
  if (logits?.dtype !== "float32") throw new TypeError("a decoder gives logits as float32");
  return logits.data;
}
