/**
 * Texts for a decoder as rows of token ids, of which some are learnt: each is to be predicted from those before it.
 * What is cut is cut on the right.
 */
import type { Span } from "../pipelines/offsets.ts";
import type { TextEncoding, Tokenizer } from "../tokenizer/tokenizer.ts";
import { DataError } from "./checked-data.ts";
import type { TokenRow } from "./encode-texts.ts";

export type LearntRow = TokenRow & {
  /** Indices of the tokens that are learnt, ascending, each 1 or more. */
  readonly learnt: readonly number[];
};

export type LearntText = {
  readonly text: string;
  /** Parts of the text that are learnt, in order, in UTF-16 code units. */
  readonly spans: readonly Span[];
};

/** What reads a decoder's texts. */
export type TextReader = {
  readonly id: string;
  readonly tokenizer: Tokenizer;
  /** Tokens of a text. */
  readonly tokensMax: number;
  /** What a text ends with; null: the model has none. */
  readonly endToken: number | null;
  readonly endTokens: ReadonlySet<number>;
};

type Piece = { readonly ids: readonly number[]; readonly span: number | null };

/** Which span each token is of: the token's own offsets tell, where none lies across a span's beginning. */
function bySpans({ ids, offsets }: TextEncoding, spans: readonly Span[]): Piece[] | null {
  const across = ([start, end]: Span) => spans.some(([from]) => start < from && from < end);
  if (offsets === null || offsets.some(across)) return null;
  return ids.map((id, at) => {
    const [start = 0, end = 0] = offsets[at] ?? [];
    const span = spans.findIndex(([from, to]) => end > from && start < to);
    return { ids: [id], span: span < 0 ? null : span };
  });
}

/** The text in parts that lie in one span each, or between two. */
function partsOf({ text, spans }: LearntText): { text: string; span: number | null }[] {
  let from = 0;
  const parts = spans.flatMap(([start, end], span) => {
    const before = { text: text.slice(from, start), span: null };
    from = end;
    return [before, { text: text.slice(start, end), span }];
  });
  return [...parts, { text: text.slice(from), span: null }].filter((part) => part.text !== "");
}

/**
 * Tokens with their spans. Where a token would lie across a span's beginning, the prompt before it is read by itself,
 * as it is when an answer is wanted.
 */
async function piecesOf(
  learnt: LearntText,
  tokenizer: Tokenizer,
  signal: AbortSignal,
): Promise<Piece[]> {
  const [whole] = await tokenizer.encode([learnt.text], { offsets: true, signal });
  const pieces = whole === undefined ? null : bySpans(whole, learnt.spans);
  if (pieces !== null) return pieces;
  const parts = partsOf(learnt);
  const texts = parts.map(({ text }) => text);
  const encodings = await tokenizer.encode(texts, { signal });
  return parts.map(({ span }, at) => ({ ids: encodings[at]?.ids ?? [], span }));
}

/**
 * A span is learnt up to its last end token, if it has one. After the last span nothing is read, and the model's end
 * token is learnt where the span itself has none.
 * @param name of the example, for errors
 * @throws DataError where nothing is left to be learnt
 */
export async function encodeLearnt(
  learnt: LearntText,
  { reader, name, signal }: { reader: TextReader; name: string; signal: AbortSignal },
): Promise<LearntRow> {
  const { tokenizer, endTokens } = reader;
  const pieces = await piecesOf(learnt, tokenizer, signal);
  const tokens = pieces.flatMap(({ ids, span }) => ids.map((id) => ({ id, span })));
  const lastSpan = learnt.spans.length - 1;
  const ends = learnt.spans.map((_, at) =>
    tokens.findLastIndex(({ id, span }) => span === at && endTokens.has(id)),
  );
  const isLearnt = ({ span }: (typeof tokens)[number], at: number) => {
    if (span === null) return false;
    const end = ends[span] ?? -1;
    return end < 0 || at <= end;
  };
  const indices = [...tokens.keys()].filter((at) => {
    const token = tokens[at];
    return token !== undefined && isLearnt(token, at);
  });
  const length = (indices.at(-1) ?? -1) + 1;
  const ids = tokens.slice(0, length).map(({ id }) => id);
  const lacksEnd = (ends[lastSpan] ?? 0) < 0 && length > 0;
  return lacksEnd
    ? boundRow(withEnd({ ids, learnt: indices }, reader), { reader, name })
    : boundRow({ ids, learnt: indices }, { reader, name });
}

export function withEnd(row: LearntRow, { endToken }: Pick<TextReader, "endToken">): LearntRow {
  if (endToken === null || row.ids.at(-1) === endToken) return row;
  return { ids: [...row.ids, endToken], learnt: [...row.learnt, row.ids.length] };
}

/** No longer than the model reads. @throws DataError where nothing is left to be learnt */
export function boundRow(
  { ids, learnt }: LearntRow,
  { reader, name }: { reader: Pick<TextReader, "id" | "tokensMax">; name: string },
): LearntRow {
  const { id, tokensMax } = reader;
  const kept = learnt.filter((at) => at > 0 && at < tokensMax);
  const cut = { ids: ids.slice(0, Math.min(tokensMax, (kept.at(-1) ?? -1) + 1)), learnt: kept };
  if (kept.length > 0) return cut;
  throw new DataError(
    ids.length > tokensMax
      ? `${name} has ${ids.length} tokens, and the first ${tokensMax}, which are all that ${id} reads, hold no ` +
          "part of what is to be learnt: shorten what stands before it"
      : `${name} has no token that could be predicted from one before it`,
  );
}
