/** The logits that a run gives of the tokens asked for, row by row. */
import { type LogitBlocks, logitBlockTokens } from "../model/logit-blocks.ts";

export type LogitRows = {
  /** f32 [rows, vocabulary], in memory that the next run uses again. */
  readonly logits: Float32Array;
  /** Null: they were not computed. */
  readonly blocks: LogitBlocks | null;
};

/** Some of them, over the same memory. @param to absent: all from `from` on */
export function rowsOf(
  { logits, blocks }: LogitRows,
  vocabulary: number,
  { from, to = logits.length / vocabulary }: { from: number; to?: number },
): LogitRows {
  const part = (values: Float32Array, width: number) => values.subarray(from * width, to * width);
  const width = Math.ceil(vocabulary / logitBlockTokens);
  return {
    logits: part(logits, vocabulary),
    blocks: blocks && { maxima: part(blocks.maxima, width), sums: part(blocks.sums, width) },
  };
}
