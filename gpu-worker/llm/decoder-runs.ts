/**
 * A run of a decoder over its slots: one new token of many texts, several of one, or both, which are computed as they
 * would be in runs of their own and read the weights once.
 */
import { noPiece } from "../model/decoder-feeds.ts";
import { int64, tensor } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { KeyValueSlots, SlotsRun } from "./key-value-slots.ts";
import type { LogitRows } from "./logit-rows.ts";

/** What a slot of a batch is given: its text's new token, or in a slot between others, one that nobody reads. */
export type DecodeRow = {
  readonly token: number;
  /** Of its text, the new token counted. */
  readonly length: number;
  /** 0: none. */
  readonly adapter: number;
  /** Its logits are wanted. */
  readonly asked: boolean;
};

export type DecodeBatch = {
  readonly firstSlot: number;
  readonly rows: readonly DecodeRow[];
};

/** Tokens of a prompt whose logits are asked for in one run at most: each has those of a whole vocabulary. */
export const scoredTokensMax = 16;

export type PromptPiece = {
  readonly slot: number;
  /** 0: none. */
  readonly adapter: number;
  readonly tokens: readonly number[];
  /** Position of the first of them in its text. */
  readonly from: number;
  /** Indexes of those whose logits are wanted. */
  readonly asked: readonly number[];
};

/** @returns of the rows asked, see `KeyValueSlots.run` */
export function runDecode(
  slots: KeyValueSlots,
  { firstSlot: first, rows }: DecodeBatch,
  how: SlotsRun,
): Promise<LogitRows> {
  const { tokens, lengths, asked } = decodeFeeds(rows);
  const window = { first, count: rows.length, piece: null, asked: asked.length };
  const ids = int64([tokens.length, 1], tokens);
  const adapters = rows.map(({ adapter }) => adapter);
  const fed = { ...feeds(ids, lengths, asked), ...noPiece, ...slotFeeds(slots, adapters) };
  return slots.run(window, fed, how);
}

/** @returns of those asked, see `KeyValueSlots.run` */
export function runPrompt(
  slots: KeyValueSlots,
  { slot: first, tokens, from, asked, adapter }: PromptPiece,
  how: SlotsRun,
): Promise<LogitRows> {
  const window = { first, count: 1, piece: null, asked: asked.length };
  const ids = int64([1, tokens.length], tokens);
  const lengths = [from + tokens.length];
  const fed = { ...feeds(ids, lengths, asked), ...noPiece, ...slotFeeds(slots, [adapter]) };
  return slots.run(window, fed, how);
}

/**
 * For sessions without adapters. The piece's slot may be one between those of the batch: what is written to it there
 * comes behind the piece.
 * @returns of the rows asked and those of the piece, see `KeyValueSlots.run`
 */
export function runMixed(
  slots: KeyValueSlots,
  { firstSlot: first, rows }: DecodeBatch,
  piece: PromptPiece,
  how: SlotsRun,
): Promise<LogitRows> {
  const end = piece.from + piece.tokens.length;
  const among = rows.map((row, at) =>
    first + at === piece.slot ? { ...row, length: end + 1 } : row,
  );
  const { tokens, lengths, asked } = decodeFeeds(among);
  const all = [...tokens, ...piece.tokens];
  const positions = [...asked, ...piece.asked.map((at) => tokens.length + at)];
  const window = { first, count: rows.length, piece: piece.slot, asked: positions.length };
  const piece_length = tensor("int32", [1], Int32Array.of(end));
  const ids = int64([1, all.length], all);
  return slots.run(window, { ...feeds(ids, lengths, positions), piece_length }, how);
}

function decodeFeeds(rows: readonly DecodeRow[]) {
  return {
    tokens: rows.map(({ token }) => token),
    lengths: rows.map(({ length }) => length),
    asked: rows.flatMap((row, at) => (row.asked ? [at] : [])),
  };
}

function slotFeeds(
  { takesAdapters }: KeyValueSlots,
  adapters: readonly number[],
): Record<string, Tensor> {
  return takesAdapters ? { lora_slots: int64([adapters.length], adapters) } : {};
}

function feeds(
  ids: Tensor,
  lengths: readonly number[],
  positions: readonly number[],
): Record<string, Tensor> {
  return {
    input_ids: ids,
    lengths: tensor("int32", [lengths.length], Int32Array.from(lengths)),
    total_length: tensor("int32", [], Int32Array.of(Math.max(...lengths))),
    positions: int64([positions.length], positions),
  };
}
