/**
 * Short texts side by side in rows, each of which sees itself alone, as a decoder's training graph reads them
 * (architectures/training-decoder.ts). Pure.
 */
import { int64 } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { LearntRow } from "./learnt-rows.ts";

/** Rows are as long, or as the longest text: attention is computed over whole rows, and longer ones would take more. */
const rowTokens = 256;

/** Where a text stands. */
type Place = { readonly row: number; readonly column: number };

/** In so many rows: the longest text first, each into the row that is the least full (Graham's LPT rule). */
function spread(lengths: readonly number[], rows: number) {
  const used = Array.from({ length: rows }, () => 0);
  const places: Place[] = [];
  const byLength = (a: number, b: number) => (lengths[b] ?? 0) - (lengths[a] ?? 0) || a - b;
  for (const text of [...lengths.keys()].toSorted(byLength)) {
    const row = used.indexOf(Math.min(...used));
    const column = used[row] ?? 0;
    places[text] = { row, column };
    used[row] = column + (lengths[text] ?? 0);
  }
  return { places, rows, length: Math.max(...used) };
}

/** In as few rows as hold them. @returns the place of each text, and the rows' number and length */
function placesOf(lengths: readonly number[]) {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const capacity = Math.max(rowTokens, ...lengths);
  for (let rows = Math.ceil(total / capacity); ; rows++) {
    const found = spread(lengths, rows);
    if (found.length <= capacity) return found;
  }
}

/** Padding is a text of its own. */
const paddingSegment = -1;

/** @returns all that the graph is fed; the tokens asked for come text by text, in order */
export function packedFeeds(
  texts: readonly LearntRow[],
  paddingId: number,
): Record<string, Tensor> {
  // The last token is predicted, and nothing from it.
  const inputs = texts.map(({ ids }) => ids.slice(0, -1));
  const { places, rows, length } = placesOf(inputs.map((ids) => ids.length));
  const grid = (filling: number) => Array.from({ length: rows * length }, () => filling);
  const [ids, positions, segments] = [grid(paddingId), grid(0), grid(paddingSegment)];
  const asked: { position: number; label: number }[] = [];
  for (const [text, own] of inputs.entries()) {
    const { row, column } = places[text] ?? { row: 0, column: 0 };
    const start = row * length + column;
    for (const [at, id] of own.entries()) {
      ids[start + at] = id;
      positions[start + at] = at;
      segments[start + at] = text;
    }
    for (const at of texts[text]?.learnt ?? []) {
      asked.push({ position: start + at - 1, label: texts[text]?.ids[at] ?? 0 });
    }
  }
  const list = (of: (token: (typeof asked)[number]) => number) =>
    int64([asked.length], asked.map(of));
  return {
    input_ids: int64([rows, length], ids),
    position_ids: int64([rows, length], positions),
    segment_ids: int64([rows, length], segments),
    positions: list(({ position }) => position),
    labels: list(({ label }) => label),
  };
}
