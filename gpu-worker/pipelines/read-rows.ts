/**
 * Runs the rows of a request some at a time and reads each result at once, for outputs that are large: token vectors,
 * or a score for each word of a vocabulary. Those of a whole request could take gigabytes.
 */
import { TimeSlices } from "../event-loop/time-slices.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import type { EncoderRow, RowResult } from "../model/encoder-row.ts";
import type { TaskContext } from "./pipeline.ts";

/** Numbers in the results of the rows run together: 16 MB. */
const floatsPerRun = 2 ** 22;
/** Rows run together, so that to queue them takes little time. */
const rowsPerRun = 4_096;
const bytesPerFloat = 4;

export type RowReader<T> = {
  /** Numbers in a row's result, about. */
  floatsOf(row: EncoderRow): number;
  /** Waits for a time slice between its steps where a result is large. */
  read(result: RowResult, index: number, slices: TimeSlices): T | Promise<T>;
};

type RowContext = Pick<TaskContext, "run" | "signal" | "reserveOutputs" | "plan">;

/** @returns what `read` makes of each row's result, in order @throws the signal's reason */
export async function readRows<T>(
  rows: readonly EncoderRow[],
  model: EncoderModel,
  context: RowContext,
  { floatsOf, read }: RowReader<T>,
): Promise<T[]> {
  context.plan?.(rows.length);
  const slices = new TimeSlices(context.signal);
  const made: T[] = [];
  const readOne = async (result: RowResult) => {
    if (slices.over) await slices.next();
    return read(result, made.length, slices);
  };
  for (const { part, floats } of partsOf(rows, floatsOf)) {
    const release = await context.reserveOutputs(floats * bytesPerFloat);
    try {
      const results = await context.run(model, part);
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
