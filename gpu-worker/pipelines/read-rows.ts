/**
 * Runs the rows of a request some at a time and reads each result at once, for outputs that are large: token vectors, or a
 * score for each word of a vocabulary. All of a request's would be gigabytes.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { EncoderModel } from "./encoder-model.ts";
import type { EncoderRow, Engine, RowResult } from "./pipeline.ts";

/** Numbers that come back of the rows run together: 32 MB. */
const floatsPerRun = 2 ** 23;

/** Numbers read before others get their turn: some milliseconds. */
const floatsPerTurn = 2 ** 18;

export type RowReading<T> = {
  /** Numbers in a row's result, about. */
  floatsOf(row: EncoderRow): number;
  read(result: RowResult, index: number): T;
};

/** @returns what `read` makes of each row's result, in order @throws the signal's reason */
export async function readRows<T>(
  rows: readonly EncoderRow[],
  model: EncoderModel,
  engine: Pick<Engine, "run" | "signal">,
  { floatsOf, read }: RowReading<T>,
): Promise<T[]> {
  const made: T[] = [];
  let unread = 0;
  for (const part of partsOf(rows, floatsOf)) {
    const results = await engine.run(model, part);
    for (const [index, result] of results.entries()) {
      const row = part[index];
      unread += row === undefined ? 0 : floatsOf(row);
      made.push(read(result, made.length));
      if (unread < floatsPerTurn) continue;
      unread = 0;
      await nextTurn();
      engine.signal.throwIfAborted();
    }
  }
  return made;
}

function* partsOf(
  rows: readonly EncoderRow[],
  floatsOf: (row: EncoderRow) => number,
): Generator<EncoderRow[]> {
  let part: EncoderRow[] = [];
  let floats = 0;
  for (const row of rows) {
    const more = floatsOf(row);
    if (part.length > 0 && floats + more > floatsPerRun) {
      yield part;
      part = [];
      floats = 0;
    }
    part.push(row);
    floats += more;
  }
  if (part.length > 0) yield part;
}
