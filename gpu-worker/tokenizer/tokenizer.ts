/**
 * Text to the token ids of a model and back: an adapter over Hugging Face's own library, Rust that encodes on libuv's
 * threads and its own, never on the event loop. Its offsets count code points; here they become UTF-16 code units.
 */
import { type Encoding, Tokenizer as LibraryTokenizer } from "tokenizers";
import { TimeSlices } from "../event-loop/time-slices.ts";
import { type TokenText, tokenReader } from "./token-text.ts";
import { utf16Offsets } from "./utf16-offsets.ts";
import {
  countSpecial,
  fill,
  holds,
  isFilled,
  templateOf,
  unfill,
  type WrappedSequence,
} from "./special-tokens.ts";
import {
  type Definition,
  lowersCase,
  readTokenizerFiles,
  type TokenizerFiles,
  type TokenizerRules,
} from "./tokenizer-file.ts";

/** One text as the model reads it, without special tokens. */
export type TextEncoding = {
  ids: number[];
  /** `[start, end)` of each token in the text, UTF-16 code units; null unless asked for. */
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

export type Tokenizer = {
  /** Each text's encoding, without special tokens. @throws the signal's reason */
  encode(texts: readonly string[], options?: EncodeOptions): Promise<TextEncoding[]>;
  /** Of a few tokens. Special tokens are left out unless they are to be kept. */
  decode(ids: readonly number[], options?: { keepSpecialTokens?: boolean }): string;
  /** As `decode` of each, off the event loop. */
  decodeAll(
    lists: readonly (readonly number[])[],
    options?: { keepSpecialTokens?: boolean },
  ): Promise<string[]>;
  /** A token by itself; null: the tokenizer has no such id. */
  token(id: number): (TokenText & { readonly special: boolean }) | null;
  /** The id of a token by its text in the vocabulary; null: there is none. */
  idOfToken(token: string): number | null;
  /** Puts the special tokens around one text's ids, or around and between two texts'. */
  wrap(first: readonly number[], second?: readonly number[]): WrappedSequence;
  /** Removes the special tokens of one text, where ids carry them. */
  unwrap(ids: readonly number[]): number[];
  /** Whether ids carry the special tokens of one text at both ends. Never where the model has some at one end only. */
  isWrapped(ids: readonly number[]): boolean;
  /** Tokens that `wrap` adds to one text, and to two. */
  readonly specialTokens: { readonly single: number; readonly pair: number };
  /** What a masked-lm fills; null where the model has none. */
  readonly mask: { readonly id: number; readonly text: string } | null;
  /** What stands for pieces of text that are not in the vocabulary; null: there is none. */
  readonly unknownId: number | null;
  readonly paddingId: number | null;
  /** Whether tokens that go on with a word are marked, as WordPiece's are by ##: then `words` are words. */
  readonly marksContinuation: boolean;
  /** Whether the same words in upper and in lower case are the same tokens. */
  readonly lowersCase: boolean;
  readonly vocabularySize: number;
};

/** @throws where the folder has no tokenizer, or one that the library cannot read */
export async function loadTokenizer(
  folder: string,
  rules: TokenizerRules = {},
): Promise<Tokenizer> {
  return await makeTokenizer(await readTokenizerFiles(folder, rules));
}

/** @throws where the library cannot read the definition */
export async function makeTokenizer({ definition, config }: TokenizerFiles): Promise<Tokenizer> {
  const library = read(definition);
  checkAdded(library, config);
  const single = templateOf(await library.encode("a", null, { addSpecialTokens: true }));
  const pair = templateOf(await library.encode("a", "a", { addSpecialTokens: true }));
  if (!holds(single, [0]) || !holds(pair, [0, 1])) {
    throw new Error("tokenizer.json cannot be used: its post_processor leaves out a text");
  }
  const idNamed = (token: { content: string } | null | undefined) =>
    token ? library.tokenToId(token.content) : null;
  return {
    encode: (texts, options = {}) => encodeAll(library, texts, options),
    ...decoding(library, { definition, config }),
    idOfToken: (token) => library.tokenToId(token),
    wrap: (first, second) =>
      second === undefined ? fill(single, [first]) : fill(pair, [first, second]),
    unwrap: (ids) => unfill(single, ids),
    isWrapped: (ids) => isFilled(single, ids),
    specialTokens: { single: countSpecial(single), pair: countSpecial(pair) },
    mask: maskOf(library, config.special.mask_token?.content ?? null),
    unknownId: unknownIdOf(library, definition) ?? idNamed(config.special.unk_token),
    paddingId: idNamed(config.special.pad_token) ?? firstKnown(library, usualPaddings)?.id ?? null,
    marksContinuation: Boolean(definition.model.continuing_subword_prefix),
    lowersCase: lowersCase(definition.normalizer),
    vocabularySize: library.getVocabSize(true),
  };
}

function read(definition: Definition): LibraryTokenizer {
  try {
    return LibraryTokenizer.fromString(JSON.stringify(definition));
  } catch (error) {
    throw new Error(`tokenizer.json cannot be used: ${String(error)}`, { cause: error });
  }
}

/** Ids are the rows of the model's embeddings: a token under another would be another word. */
function checkAdded(library: LibraryTokenizer, { added }: TokenizerFiles["config"]): void {
  for (const { content, id } of added) {
    const found = library.tokenToId(content);
    if (found === id) continue;
    throw new Error(
      `its added token ${content} is said to have the id ${id}, but the vocabulary gives it ${found}: ` +
        "added_tokens.json or added_tokens_decoder is of another vocabulary",
    );
  }
}

/** Their spaces are removed, one after the other, as in clean_up_tokenization of transformers. */
const untidy = [" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're"];

function decoding(
  library: LibraryTokenizer,
  { definition, config }: TokenizerFiles,
): Pick<Tokenizer, "decode" | "decodeAll" | "token"> {
  const added = definition.added_tokens.filter(({ special }) => special);
  const special = new Set(added.map(({ content }) => library.tokenToId(content)));
  const decoder = library.getDecoder();
  const readToken = tokenReader(definition);
  const asTheyAre = new Set(definition.added_tokens.map(({ content }) => content));
  const cleans = config.cleanUpSpaces && definition.model.type !== "BPE";
  const tidy = (text: string) =>
    cleans ? untidy.reduce((tidied, part) => tidied.replaceAll(part, part.trim()), text) : text;
  return {
    decode(ids, { keepSpecialTokens = false } = {}) {
      const tokens = ids
        .filter((id) => keepSpecialTokens || !special.has(id))
        .flatMap((id) => library.idToToken(id) ?? []);
      return tidy(decoder === null ? tokens.join(" ") : decoder.decode(tokens));
    },
    token(id) {
      const token = library.idToToken(id);
      if (token === null) return null;
      const found = asTheyAre.has(token) ? { text: token, bytes: null } : readToken(token);
      return { ...found, special: special.has(id) };
    },
    async decodeAll(lists, { keepSpecialTokens = false } = {}) {
      const texts = await library.decodeBatch(
        lists.map((ids) => [...ids]),
        !keepSpecialTokens,
      );
      return texts.map(tidy);
    },
  };
}

function unknownIdOf(library: LibraryTokenizer, { model }: Definition): number | null {
  if (typeof model["unk_id"] === "number") return model["unk_id"];
  return model.unk_token ? library.tokenToId(model.unk_token) : null;
}

/** The usual names of the mask and of padding, where a model's files name none. */
const usualMasks = ["[MASK]", "<mask>"];
const usualPaddings = ["[PAD]", "<pad>"];

function firstKnown(library: LibraryTokenizer, texts: readonly string[]): Tokenizer["mask"] {
  for (const text of texts) {
    const id = library.tokenToId(text);
    if (id !== null) return { id, text };
  }
  return null;
}

function maskOf(library: LibraryTokenizer, named: string | null): Tokenizer["mask"] {
  return firstKnown(library, named === null ? usualMasks : [named]);
}

/** UTF-16 units for each token wanted that are encoded at first, where only some tokens of a text are wanted. */
const unitsPerToken = 16;
/** If that gives too few tokens, as in a text that is mostly white space, so many times more are encoded. */
const growth = 8;
/**
 * The library takes some 500 bytes a token while it encodes, and a token has about one unit of text or more: of a
 * longer text no more is encoded at first than could make the tokens wanted, then twice as much, and so on.
 */
const bytesPerToken = 500;
const unitsAtOnce = 2 ** 16;
const growthOfLong = 2;
/** A few units more than the tokens wanted could have show whether there are more. */
const surplus = 1.05;

async function encodeAll(
  library: LibraryTokenizer,
  texts: readonly string[],
  options: EncodeOptions,
): Promise<TextEncoding[]> {
  const { tokensMax = Infinity, from = "start", signal } = options;
  const slices = new TimeSlices(signal);
  const done: TextEncoding[] = [];
  const weights: ArrayBuffer[] = [];
  const unitsOfLong = Math.max(unitsAtOnce, surplus * tokensMax);
  let units = Math.floor(Math.min(tokensMax * unitsPerToken, unitsOfLong));
  let rest = texts.map((_, at) => at);
  while (rest.length > 0) {
    signal?.throwIfAborted();
    const parts = rest.map((at) => cut(texts[at] ?? "", units, from));
    const encodings = await library.encodeBatch(
      parts.map(({ text }) => text),
      { addSpecialTokens: false },
    );
    weights.push(weightOf(encodings));
    signal?.throwIfAborted();
    slices.begin();
    const short: number[] = [];
    for (const [index, at] of rest.entries()) {
      const [part, encoding] = [parts[index], encodings[index]];
      if (part === undefined || encoding === undefined) throw new Error("a text was not encoded");
      if (slices.over) await slices.next();
      if (part.whole || encoding.getLength() > tokensMax) {
        done[at] = await readEncoding(encoding, part, {
          wantsOffsets: options.offsets ?? false,
          slices,
        });
      } else short.push(at);
    }
    rest = short;
    units *= units < unitsAtOnce ? growth : growthOfLong;
  }
  return done;
}

/**
 * The garbage collector sees a few bytes where the library keeps megabytes, and does not collect them. A buffer of
 * their size, which is never written and so takes no memory, makes it account for them.
 */
function weightOf(encodings: readonly Encoding[]): ArrayBuffer {
  const tokens = encodings.reduce((sum, encoding) => sum + encoding.getLength(), 0);
  return new ArrayBuffer(tokens * bytesPerToken);
}

/** `start`: its offset in the whole text. */
type Part = { text: string; start: number; whole: boolean };

/** How far back a white space is looked for, so that no word is cut. */
const wordUnits = 128;

/**
 * About `units` UTF-16 units of a text's start or end, cut where a word ends if one ends nearby, else between
 * characters.
 */
function cut(text: string, units: number, from: "start" | "end"): Part {
  if (text.length <= units) return { text, start: 0, whole: true };
  if (from === "start") {
    const begin = text.slice(0, units);
    const space = begin.slice(-wordUnits).search(/\s\S*$/);
    const end = space > 0 ? Math.max(0, units - wordUnits) + space : units;
    return { text: begin.slice(0, end).replace(/[\ud800-\udbff]$/, ""), start: 0, whole: false };
  }
  const begin = text.length - units;
  const space = text.slice(begin, begin + wordUnits).search(/\s/);
  const low = /[\udc00-\udfff]/.test(text.charAt(begin)) ? 1 : 0;
  const start = begin + (space > 0 ? space : low);
  return { text: text.slice(start), start, whole: false };
}

/** Offsets of up to so many tokens are read from the library at once, else one by one: it offers only these two. */
const tokensReadAtOnce = 4_096;

async function readEncoding(
  encoding: Encoding,
  part: Part,
  { wantsOffsets, slices }: { wantsOffsets: boolean; slices: TimeSlices },
): Promise<TextEncoding> {
  const ids = encoding.getIds();
  const { whole: complete, start } = part;
  if (!wantsOffsets) return { ids, offsets: null, words: null, complete };
  const toUnits = utf16Offsets(part.text);
  const toSpan = ([from = 0, to = 0]: readonly number[]) =>
    [start + toUnits(from), start + toUnits(to)] as const;
  if (ids.length <= tokensReadAtOnce) {
    const words = wordCounter();
    return {
      ids,
      offsets: encoding.getOffsets().map(toSpan),
      words: encoding.getWordIds().map(words),
      complete,
    };
  }
  const offsets = await slices.map(ids.keys(), (at) => toSpan(encoding.tokenToChars(at) ?? []));
  const words = await slices.map(ids.keys(), (at) => encoding.tokenToWord(at));
  return { ids, offsets, words: words.map(wordCounter()), complete };
}

/** Counts the words of tokens in order. A token that is part of no word counts as one of its own. */
function wordCounter(): (id: number | null | undefined) => number {
  let last = -1;
  let lastId: number | null = null;
  return (id) => {
    if (id === null || id === undefined || id !== lastId) last += 1;
    lastId = id ?? null;
    return last;
  };
}
