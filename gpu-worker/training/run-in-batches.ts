/** Rows through the session of a model that serves: of like lengths together, as many side by side as it takes. */
import type { EncoderModel } from "../model/encoder-model.ts";
import type { EncoderRow, RowResult } from "../model/encoder-row.ts";
import { runRows } from "../model/run-rows.ts";

export type Runnable = Pick<EncoderModel, "session"> &
  Partial<Pick<EncoderModel, "adapter" | "limits">>;

/** Products of more rows are hardly faster. */
const batchTokens = 512;

/** The longest first. */
function batchesOf(rows: readonly EncoderRow[]): number[][] {
  const lengthOf = (at: number) => rows[at]?.ids.length ?? 0;
  const batches: number[][] = [];
  let room = 0;
  for (const at of [...rows.keys()].toSorted((a, b) => lengthOf(b) - lengthOf(a))) {
    if (room <= 0) {
      batches.push([]);
      room = Math.max(1, Math.floor(batchTokens / lengthOf(at)));
    }
    batches.at(-1)?.push(at);
    room -= 1;
  }
  return batches;
}

/** With the model's own adapter. */
export function ownRow(row: EncoderRow, { adapter }: Pick<Runnable, "adapter">): EncoderRow {
  return adapter === undefined ? row : { ...row, adapter };
}

/** @param read is given each row's result with the row's index, in any order @throws the signal's reason */
export async function runInBatches(
  rows: readonly EncoderRow[],
  model: Runnable,
  signal: AbortSignal,
  read: (result: RowResult, at: number) => void,
): Promise<void> {
  const batches = batchesOf(rows);
  let next = 0;
  const work = async () => {
    for (let batch = batches[next++]; batch !== undefined; batch = batches[next++]) {
      signal.throwIfAborted();
      const own = batch.flatMap((at) => {
        const row = rows[at];
        return row === undefined ? [] : [ownRow(row, model)];
      });
      const results = await runRows(own, model, signal);
      for (const [place, result] of results.entries()) read(result, batch[place] ?? 0);
    }
  };
  await Promise.all(Array.from({ length: model.session.concurrency }, work));
}
