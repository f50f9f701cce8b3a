/**
 * Runs the rows of a request some at a time and reads each result at once, for outputs that are large: token vectors, or a
 * score for each word of a vocabulary. All of a request's would be gigabytes.
 */
import { TimeSlices } from "../event-loop/time-slices.ts";
import type { EncoderModel } from "./encoder-model.ts";
import type { EncoderRow, Engine, RowResult } from "./pipeline.ts";

/** Numbers that come back of the rows run together: 16 MB. */
const floatsPerRun = 2 ** 22;
/** Rows run together, so that queueing them takes no time to speak of. */
const rowsPerRun = 4_096;
const bytesPerFloat = 4;

export type RowReading<T> = {
  /** Numbers in a row's result, about. */
  floatsOf(row: EncoderRow): number;
  /** May give others their turn where a result is large. */
  read(result: RowResult, index: number, slices: TimeSlices): T | Promise<T>;
};

type RowEngine = Pick<Engine, "run" | "signal" | "hold" | "plan">;

/** @returns what `read` makes of each row's result, in order @throws the signal's reason */
export async function readRows<T>(
  rows: readonly EncoderRow[],
  model: EncoderModel,
  engine: RowEngine,
  { floatsOf, read }: RowReading<T>,
): Promise<T[]> {
  engine.plan?.(rows.length);
  const slices = new TimeSlices(engine.signal);
  const made: T[] = [];
  const readOne = async (result: RowResult) => {
    if (slices.over) await slices.next();
    return read(result, made.length, slices);
  };
  for (const { part, floats } of partsOf(rows, floatsOf)) {
    const release = await engine.hold(floats * bytesPerFloat);
    try {
      const results = await engine.run(model, part);
      slices.begin();
      for (const result of results) made.push(await readOne(result));
    } finally {
      release();
    }
  }
  return made;
}

function* partsOf(
  rows: readonly EncoderRow[],
  floatsOf: (row: EncoderRow) => number,
): Generator<{ part: EncoderRow[]; floats: number }> {
  let part: EncoderRow[] = [];
  let floats = 0;
  for (const row of rows) {
    const more = floatsOf(row);
    if (part.length >= rowsPerRun || (part.length > 0 && floats + more > floatsPerRun)) {
      yield { part, floats };
      part = [];
      floats = 0;
    }
    part.push(row);
    floats += more;
  }
  if (part.length > 0) yield { part, floats };
}
