/**
 * Relations as rows of token ids, and which tokens stand for the two marked parts, marks included: as the service reads
 * them for an adapter (pipelines/relation-head.ts). A checkpoint's own head reads the same rows without the parts.
 */
import { readRelationMarks } from "#contract/relation-marks.ts";
import { TimeSlices } from "../event-loop/time-slices.ts";
import { withMarks } from "../pipelines/marked-spans.ts";
import type { Span } from "../pipelines/offsets.ts";
import { trimOffsets } from "../pipelines/offsets.ts";
import { tokensIn } from "../pipelines/part-tokens.ts";
import { encodeTexts } from "../pipelines/text-tokens.ts";
import { int64 } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { TokenRow } from "./encode-texts.ts";
import type { TokenModel } from "./token-rows.ts";

export type RelationRow = TokenRow & {
  /** Tokens of the row, none where a long text is cut before them. */
  readonly head: Span;
  readonly tail: Span;
};

const nowhere: Span = [0, 0];

/** In order, cut on the right. @throws the signal's reason */
export async function encodeRelations(
  texts: readonly string[],
  { tokenizer, limits }: TokenModel,
  signal: AbortSignal,
): Promise<RelationRow[]> {
  const slices = new TimeSlices(signal);
  const marked = texts.map((text) => {
    const read = readRelationMarks(text);
    if (read === null || "fault" in read) throw new TypeError("a relation's text has two marks");
    return withMarks(read);
  });
  const named = marked.map(({ text }, at) => ({ text, name: `${at}` }));
  const room = limits.maxTokens - tokenizer.specialTokens.single;
  const rows: RelationRow[] = [];
  for await (const tokens of encodeTexts(named, tokenizer, { signal })) {
    const { ids, starts } = tokenizer.wrap(tokens.ids.slice(0, room));
    const [start = 0] = starts;
    const spans = (await trimOffsets(tokens.text, tokens.offsets, slices)).slice(0, room);
    const place = (part: Span = nowhere): Span => {
      const [from, to] = tokensIn(part, spans) ?? nowhere;
      return [from + start, to + start];
    };
    const { head, tail } = marked[rows.length] ?? {};
    rows.push({ ids, head: place(head), tail: place(tail) });
  }
  return rows;
}

/** `head_mask` and `tail_mask`, int64 [batch, longest]. */
export function partMasks(rows: readonly RelationRow[], longest: number): Record<string, Tensor> {
  const mask = (of: (row: RelationRow) => Span) => {
    const data = new BigInt64Array(rows.length * longest);
    for (const [row, each] of rows.entries()) {
      const [from, to] = of(each);
      data.fill(1n, row * longest + from, row * longest + to);
    }
    return int64([rows.length, longest], data);
  };
  return { head_mask: mask(({ head }) => head), tail_mask: mask(({ tail }) => tail) };
}
