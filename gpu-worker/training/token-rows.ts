/**
 * Tagged texts as rows of token ids: which token stands for which word, and how a long text is cut. Cut as the service
 * cuts it with a stride of 0, so that what is trained and judged is what is served.
 */
import type { Line } from "#contract/training/forms.ts";
import { alignSpans } from "../datasets/align-spans.ts";
import { TimeSlices } from "../event-loop/time-slices.ts";
import { rowShapes, shapesOf } from "../model/word-shapes.ts";
import { entityWords } from "../pipelines/entity-words.ts";
import type { Span } from "../pipelines/offsets.ts";
import { withoutSpace } from "../pipelines/offsets.ts";
import { encodeTexts } from "../pipelines/text-tokens.ts";
import type { TextTokens } from "../pipelines/text-tokens.ts";
import { windowsOf } from "../pipelines/windows.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { TokenRow } from "./encode-texts.ts";

export type TaggedExample =
  | { readonly form: "tags"; readonly line: Line<"tags"> }
  | { readonly form: "spans"; readonly line: Line<"spans"> };

export type TaggedText = {
  readonly text: string;
  /** Of each word, IOB2. */
  readonly tags: readonly string[];
  readonly rows: readonly TaggedRow[];
};

/** A part of a text. */
export type TaggedRow = TokenRow & {
  /** Words whose first token stands in this row, at this index of its `ids`. */
  readonly firsts: readonly { readonly word: number; readonly token: number }[];
};

export type TokenModel = {
  readonly tokenizer: Tokenizer;
  readonly limits: { readonly maxTokens: number };
};

type Words = {
  readonly tags: readonly string[];
  /** Index of each word's first token; null: it has none. */
  readonly firsts: readonly (number | null)[];
};

function textOf({ form, line }: TaggedExample): string {
  return form === "tags" ? line.tokens.join(" ") : line.text;
}

/** Words as the file has them. */
function wordsOfTags({ tokens: words, tags }: Line<"tags">, tokens: TextTokens): Words {
  let end = -1;
  const spans = words.map((word): Span => {
    const start = end + 1;
    end = start + word.length;
    return [start, end];
  });
  return { tags, firsts: firstTokens(tokens, spans) };
}

/** Words as the service splits the text. */
function wordsOfSpans(
  { text, entities }: Line<"spans">,
  tokens: TextTokens,
  tokenizer: Tokenizer,
): Words {
  const spans: [number, number][] = [];
  const firsts: number[] = [];
  const words = entityWords(tokens, tokenizer);
  let before: number | undefined;
  for (const [at, offsets] of tokens.offsets.entries()) {
    const [start, end] = withoutSpace(text, ...offsets);
    // A token of white space alone is no word.
    if (start === end) continue;
    const last = spans.at(-1);
    if (last !== undefined && words[at] === before) last[1] = end;
    else {
      spans.push([start, end]);
      firsts.push(at);
    }
    before = words[at];
  }
  return { tags: alignSpans(text, entities, spans).tags, firsts };
}

/** The first token that shares a character with each word. */
function firstTokens({ text, offsets }: TextTokens, words: readonly Span[]): (number | null)[] {
  const bare = offsets.map(([start, end]) => withoutSpace(text, start, end));
  // A sign for a word's beginning may have the offsets of the letter that follows, which is the token that counts.
  const isSign = (token: number) => bare[token]?.[0] === bare[token + 1]?.[0];
  let at = 0;
  return words.map(([start, end]) => {
    while (at < bare.length && ((bare[at]?.[1] ?? 0) <= start || isSign(at))) at += 1;
    return (bare[at]?.[0] ?? Infinity) < end ? at : null;
  });
}

function rowsOf(
  tokens: TextTokens,
  firsts: readonly (number | null)[],
  { tokenizer, limits }: TokenModel,
): TaggedRow[] {
  const rules = { room: limits.maxTokens - tokenizer.specialTokens.single, overlap: 0 };
  const shapes = tokenizer.lowersCase
    ? shapesOf({ ...tokens, words: entityWords(tokens, tokenizer) })
    : null;
  return [...windowsOf(tokens.ids.length, rules)].map(([from, to]) => {
    const { ids, starts } = tokenizer.wrap(tokens.ids.slice(from, to));
    const [start = 0] = starts;
    const before = start - from;
    const own = firsts.flatMap((token, word) =>
      token !== null && token >= from && token < to ? [{ word, token: token + before }] : [],
    );
    const row = { ids, firsts: own };
    if (shapes === null) return row;
    return { ...row, shapes: rowShapes(shapes.slice(from, to), { start, length: ids.length }) };
  });
}

/** In order. @throws the signal's reason */
export async function encodeTagged(
  examples: readonly TaggedExample[],
  model: TokenModel,
  signal: AbortSignal,
): Promise<TaggedText[]> {
  const slices = new TimeSlices(signal);
  const texts: TaggedText[] = [];
  const named = examples.map((example, at) => ({ text: textOf(example), name: `${at}` }));
  for await (const tokens of encodeTexts(named, model.tokenizer, { signal })) {
    slices.begin();
    const example = examples[texts.length];
    if (example === undefined) break;
    const { tags, firsts } =
      example.form === "tags"
        ? wordsOfTags(example.line, tokens)
        : wordsOfSpans(example.line, tokens, model.tokenizer);
    const rows = rowsOf(tokens, firsts, model);
    texts.push({ text: tokens.text, tags, rows });
    if (slices.over) await slices.next();
  }
  return texts;
}
