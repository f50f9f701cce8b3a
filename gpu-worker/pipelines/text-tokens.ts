/**
 * Texts with the offsets and the word of each of their tokens, for tasks whose answers are parts of a text. Several
 * texts go to the tokenizer at once, but no more than a bounded number of characters, so that a request that is too
 * long ends early.
 */
import { CodedError } from "#contract/errors.ts";
import { limits } from "#contract/limits.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import type { Span } from "./offsets.ts";
import { type TokenCounter, tooManyTokens } from "./sentence-request.ts";
import { groupTexts } from "./text-groups.ts";

/** A text under its name in the request: `inputs[3]`. */
export type NamedText = { readonly text: string; readonly name: string };

export type TextTokens = NamedText & {
  /** Without special tokens. */
  readonly ids: readonly number[];
  /** Of each token. */
  readonly offsets: readonly Span[];
  /** Which word each token is part of, counted from 0. */
  readonly words: readonly number[];
  /** False: the text has more tokens. */
  readonly complete: boolean;
};

/** A refused text is counted up to this many times the model's length; past it the message says "more than". */
const countedLengths = 32;

type Options = {
  /** More tokens of the next text are of no interest. */
  tokensMax?(): number;
  signal: AbortSignal;
};

/** In order. @throws the signal's reason */
export async function* encodeTexts(
  texts: readonly NamedText[],
  tokenizer: Tokenizer,
  { tokensMax, signal }: Options,
): AsyncGenerator<TextTokens> {
  for (const group of groupTexts(texts, ({ text }) => text.length)) {
    const encodings = await tokenizer.encode(
      group.map(({ text }) => text),
      { ...(tokensMax === undefined ? {} : { tokensMax: tokensMax() }), signal, offsets: true },
    );
    for (const [index, { ids, offsets, words, complete }] of encodings.entries()) {
      const named = group[index];
      if (named !== undefined) {
        yield { ...named, ids, offsets: offsets ?? [], words: words ?? [], complete };
      }
    }
  }
}

/** Each text, which must fit the model as it is. @throws CodedError context_length_exceeded; the signal's reason */
export async function* encodeWhole(
  texts: readonly NamedText[],
  model: EncoderModel,
  { signal, fix }: { signal: AbortSignal; fix: string },
): AsyncGenerator<TextTokens> {
  const { tokenizer, limits: own, id } = model;
  const tokensMax = () => own.maxTokens * countedLengths;
  for await (const tokens of encodeTexts(texts, tokenizer, { tokensMax, signal })) {
    const { ids, complete, name } = tokens;
    const length = ids.length + tokenizer.specialTokens.single;
    if (!complete || length > own.maxTokens) {
      throw new CodedError(
        "context_length_exceeded",
        `${name} has ${complete ? "" : "more than "}${length} tokens, but ${id} reads at most ${own.maxTokens}. ${fix}`,
        { param: name },
      );
    }
    yield tokens;
  }
}

/**
 * Each text whole, however long, until the request holds too many tokens.
 * @throws CodedError context_length_exceeded; the signal's reason
 */
export async function* encodeLong(
  texts: readonly NamedText[],
  tokenizer: Tokenizer,
  { counter, signal }: { counter: TokenCounter; signal: AbortSignal },
): AsyncGenerator<TextTokens> {
  for await (const tokens of encodeTexts(texts, tokenizer, {
    tokensMax: () => counter.remaining,
    signal,
  })) {
    if (!tokens.complete) throw tooLong(tokens, counter);
    yield tokens;
  }
}

function tooLong({ name }: TextTokens, { tokens }: TokenCounter): CodedError {
  const most = limits.tokensPerRequestMax;
  if (tokens > 0) return tooManyTokens();
  return new CodedError(
    "context_length_exceeded",
    `${name} has more than ${most} tokens, the most that one request may hold. Split it.`,
    { param: name },
  );
}
