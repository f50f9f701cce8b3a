/**
 * Text to the token ids of a model and back: an adapter over @huggingface/tokenizers, which reads the model's own
 * tokenizer.json. Truncation and padding written in that file are not obeyed: lengths are the pipelines' business.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Tokenizer as LibraryTokenizer } from "@huggingface/tokenizers";
import * as z from "zod";

/** One text as the model reads it, without special tokens. */
export type TextEncoding = {
  ids: number[];
  /** Where each token stands in the text, UTF-16 code units, `[start, end)`; null unless asked for. */
  offsets: (readonly [number, number])[] | null;
  /** Which word each token is part of, counted from 0; null unless asked for. */
  words: number[] | null;
  /** False: the text has more tokens; encoding stopped some way past `tokensMax`. */
  complete: boolean;
};

export type EncodeOptions = {
  /** Whether `offsets` and `words` are wanted. Default false. */
  offsets?: boolean;
  /** More tokens of a text than this are of no interest. Default: all are wanted. */
  tokensMax?: number;
  /** The end from which `tokensMax` counts. Default start. */
  from?: "start" | "end";
  signal?: AbortSignal;
};

/** A sequence with its special tokens. */
export type WrappedSequence = {
  ids: number[];
  /** Segment of each token: 0 for the first text, and for the second what the model was trained with. */
  typeIds: number[];
  /** Index of the first token of each text. */
  starts: number[];
};

export type Tokenizer = {
  /** Each text's encoding. Long texts are encoded off the event loop. @throws the signal's reason */
  encode(texts: readonly string[], options?: EncodeOptions): Promise<TextEncoding[]>;
  /** Special tokens are left out unless they are to be kept. */
  decode(ids: readonly number[], options?: { keepSpecialTokens?: boolean }): string;
  /** Puts the special tokens around one text's ids, or around and between two texts'. */
  wrap(first: readonly number[], second?: readonly number[]): WrappedSequence;
  /** Takes the special tokens of one text off again, where they are. */
  unwrap(ids: readonly number[]): number[];
  /** Tokens that `wrap` adds to one text, and to two. */
  readonly specialTokens: { readonly single: number; readonly pair: number };
  /** What a masked-lm fills; null where the model has none. */
  readonly mask: { readonly id: number; readonly text: string } | null;
  readonly vocabularySize: number;
};

/** The part of the library that is used here; its own type declarations do not resolve under Node's rules. */
type Library = {
  encode(
    text: string,
    options: { add_special_tokens: boolean; return_token_type_ids: true },
  ): { ids: number[]; token_type_ids?: number[] };
  decode(ids: number[], options: { skip_special_tokens: boolean }): string;
  get_vocab(withAddedTokens: boolean): Map<string, number>;
};

const TokenizerFile = z.looseObject({
  model: z.looseObject({ type: z.string().optional() }),
  normalizer: z.looseObject({ type: z.string() }).nullish(),
  pre_tokenizer: z.looseObject({ type: z.string() }).nullish(),
  added_tokens: z.array(z.looseObject({ id: z.int(), content: z.string() })).default([]),
});
type TokenizerFile = z.infer<typeof TokenizerFile>;
const TokenizerConfigFile = z.looseObject({});

/** @throws where tokenizer.json is missing or is none that the library can read */
export async function loadTokenizer(folder: string): Promise<Tokenizer> {
  const file = TokenizerFile.parse(
    JSON.parse(await readFile(join(folder, "tokenizer.json"), "utf8")),
  );
  const config = TokenizerConfigFile.parse(
    await readConfigFile(join(folder, "tokenizer_config.json")),
  );
  return adapt(new LibraryTokenizer(file, config), file);
}

async function readConfigFile(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return {};
    throw error;
  }
}

function adapt(library: Library, file: TokenizerFile): Tokenizer {
  const special = specialTokensAround(library);
  const single = special.before.length + special.after.length;
  const encodeOne = (text: string): TextEncoding => {
    const { ids } = library.encode(text, {
      add_special_tokens: false,
      return_token_type_ids: true,
    });
    return { ids, offsets: null, words: null, complete: true };
  };
  return {
    encode: (texts) => Promise.resolve(texts.map(encodeOne)),
    decode: (ids, { keepSpecialTokens = false } = {}) =>
      ids.length === 0 ? "" : library.decode([...ids], { skip_special_tokens: !keepSpecialTokens }),
    wrap: (ids) => {
      const wrapped = [...special.before, ...ids, ...special.after];
      return { ids: wrapped, typeIds: wrapped.map(() => 0), starts: [special.before.length] };
    },
    unwrap: (ids) => unwrap(ids, special),
    specialTokens: { single, pair: single },
    mask: null,
    vocabularySize: library.get_vocab(true).size,
  };
}

type Special = { before: number[]; after: number[] };

/** What the post-processor puts before and after one text, found by encoding a probe with and without. */
function specialTokensAround(library: Library): Special {
  const probe = (addSpecialTokens: boolean) =>
    library.encode("a", { add_special_tokens: addSpecialTokens, return_token_type_ids: true }).ids;
  const bare = probe(false);
  const full = probe(true);
  const at = full.findIndex((_, start) => bare.every((id, offset) => full[start + offset] === id));
  if (bare.length === 0 || at < 0) return { before: [], after: [] };
  return { before: full.slice(0, at), after: full.slice(at + bare.length) };
}

function unwrap(ids: readonly number[], { before, after }: Special): number[] {
  const end = ids.length - after.length;
  const wrapped =
    end >= before.length &&
    before.every((id, index) => ids[index] === id) &&
    after.every((id, index) => ids[end + index] === id);
  return wrapped ? ids.slice(before.length, end) : [...ids];
}

/** Whether no token and no rule of the tokenizer reaches across white space. */
function worksWordByWord(file: TokenizerFile): boolean {
  const normalizer = file.normalizer?.type ?? "none";
  return (
    file.model.type === "WordPiece" &&
    file.pre_tokenizer?.type === "BertPreTokenizer" &&
    ["BertNormalizer", "Lowercase", "none"].includes(normalizer) &&
    !file.added_tokens.some((token) => /\s/.test(token.content))
  );
}

/** A white space, or a place before a CJK ideograph, which a BERT tokenizer sets apart. */
const boundary = /[ \t\n\r]|(?=[\u4e00-\u9fff])/g;

function splitAtWords(text: string, charactersMax: number): string[] {
  if (text.length <= charactersMax) return [text];
  const pieces: string[] = [];
  let from = 0;
  while (text.length - from > charactersMax) {
    boundary.lastIndex = from + charactersMax;
    const match = boundary.exec(text);
    if (match === null) break;
    pieces.push(text.slice(from, match.index));
    from = match.index;
  }
  pieces.push(text.slice(from));
  return pieces;
}
