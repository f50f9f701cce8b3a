/**
 * What tokenizer_config.json, config.json, special_tokens_map.json and added_tokens.json say of a tokenizer, by the
 * rules of transformers' from_pretrained: `added_tokens_decoder` makes the two older files void; without it the map
 * overrules the config, and added_tokens.json tells the ids of what was added.
 */
import * as z from "zod";
import { readJson } from "../files/json-file.ts";

/** As tokenizer.json writes an added token; `id` null: the file that names it gives none. */
export type AddedToken = {
  content: string;
  id: number | null;
  single_word: boolean;
  lstrip: boolean;
  rstrip: boolean;
  normalized: boolean;
  special: boolean;
};

const flagOff = z.boolean().default(false);
const TokenObject = z.object({
  content: z.string(),
  single_word: flagOff,
  lstrip: flagOff,
  rstrip: flagOff,
  /** Null: as usual, where a token is no special one. */
  normalized: z.boolean().nullable().default(null),
  special: flagOff,
});
type Token = z.infer<typeof TokenObject>;

/** A token by its text, or as an object that holds it. */
const Token = z.union([
  z.string().transform((content): Token => TokenObject.parse({ content })),
  TokenObject,
]);

/** The special tokens with a role of their own. */
export const specialNames = [
  "unk_token",
  "cls_token",
  "sep_token",
  "bos_token",
  "eos_token",
  "pad_token",
  "mask_token",
] as const;
export type SpecialName = (typeof specialNames)[number];

const named = Token.nullish();
const ExtraTokens = z
  .union([z.array(Token), z.record(z.string(), Token).transform((tokens) => Object.values(tokens))])
  .nullish();

const SpecialTokens = z.looseObject({
  unk_token: named,
  cls_token: named,
  sep_token: named,
  bos_token: named,
  eos_token: named,
  pad_token: named,
  mask_token: named,
  additional_special_tokens: ExtraTokens,
  extra_special_tokens: ExtraTokens,
});
type SpecialTokens = z.infer<typeof SpecialTokens>;

const flag = z.boolean().nullish();
const File = SpecialTokens.extend({
  tokenizer_class: z.string().nullish(),
  /** Of the Japanese tokenizers, which split words by a dictionary. */
  word_tokenizer_type: z.string().nullish(),
  do_lower_case: flag,
  strip_accents: flag,
  tokenize_chinese_chars: flag,
  add_prefix_space: flag,
  trim_offsets: flag,
  clean_up_tokenization_spaces: flag,
  added_tokens_decoder: z.record(z.string().regex(/^\d+$/), Token).nullish(),
});

const ModelFile = z.looseObject({
  tokenizer_class: z.string().nullish(),
  model_type: z.string().nullish(),
});

const AddedFile = z.record(z.string(), z.int().nonnegative());

export type TokenizerConfig = {
  /** The class that tokenizer_config.json or else config.json names, without "Fast". */
  tokenizerClass: string | null;
  /** Of config.json. */
  modelType: string | null;
  /** Null: said to be none. Absent: not said. */
  special: Partial<Record<SpecialName, AddedToken | null>>;
  /** Special tokens without a role. */
  extra: AddedToken[];
  /** With their ids, in the order of them. */
  added: (AddedToken & { id: number })[];
  normalizer: { lowercase: boolean | null; stripAccents: boolean | null; chinese: boolean | null };
  addPrefixSpace: boolean;
  trimOffsets: boolean;
  /** Whether spaces before punctuation are taken out of what is decoded. */
  cleanUpSpaces: boolean;
};

function asSpecial(token: Token): AddedToken {
  return { ...token, normalized: token.normalized ?? false, id: null, special: true };
}

function decoded(rows: readonly (readonly [number, Token])[]): TokenizerConfig["added"] {
  const tokens = rows.map(([id, token]) => {
    return { ...token, normalized: token.normalized ?? !token.special, id };
  });
  return tokens.toSorted((a, b) => a.id - b.id);
}

function extraOf(tokens: SpecialTokens): Token[] {
  return tokens.extra_special_tokens ?? tokens.additional_special_tokens ?? [];
}

/** Special tokens by name; one that was added has the properties it was added with. */
function specialOf(tokens: SpecialTokens, added: readonly AddedToken[]) {
  const special: TokenizerConfig["special"] = {};
  for (const name of specialNames) {
    const token = tokens[name];
    if (token === undefined) continue;
    const own = added.find(({ content }) => content === token?.content);
    special[name] = token === null ? null : { ...asSpecial(own ?? token), id: own?.id ?? null };
  }
  return special;
}

function decoderOf(table: Record<string, Token>) {
  return decoded(Object.entries(table).map(([id, token]) => [Number(id), token] as const));
}

async function readAdded(folder: string, special: SpecialTokens) {
  const ids = (await readJson(folder, "added_tokens.json", AddedFile)) ?? {};
  const contents = [...specialNames.map((name) => special[name]), ...extraOf(special)];
  const specials = new Set(contents.map((token) => token?.content));
  return decoded(
    Object.entries(ids).map(([content, id]) => {
      return [id, TokenObject.parse({ content, special: specials.has(content) })] as const;
    }),
  );
}

function classOf(own: z.infer<typeof File>, model: z.infer<typeof ModelFile>): string | null {
  const name = own.tokenizer_class ?? model.tokenizer_class ?? null;
  const words = own.word_tokenizer_type ?? "basic";
  if (name === null && words !== "basic") return "BertJapaneseTokenizer";
  return name?.replace(/Fast$/, "") ?? null;
}

/** @throws where a file is damaged, naming it */
export async function readTokenizerConfig(folder: string): Promise<TokenizerConfig> {
  const own = (await readJson(folder, "tokenizer_config.json", File)) ?? {};
  const model = (await readJson(folder, "config.json", ModelFile)) ?? {};
  const decoder = own.added_tokens_decoder ?? null;
  const map = await readJson(folder, "special_tokens_map.json", SpecialTokens);
  const tokens = decoder === null ? { ...own, ...map } : own;
  const added = decoder === null ? await readAdded(folder, tokens) : decoderOf(decoder);
  return {
    tokenizerClass: classOf(own, model),
    modelType: model.model_type ?? null,
    special: specialOf(tokens, added),
    extra: extraOf(tokens).map(asSpecial),
    added,
    normalizer: {
      lowercase: own.do_lower_case ?? null,
      stripAccents: own.strip_accents ?? null,
      chinese: own.tokenize_chinese_chars ?? null,
    },
    addPrefixSpace: own.add_prefix_space ?? false,
    trimOffsets: own.trim_offsets ?? true,
    cleanUpSpaces: own.clean_up_tokenization_spaces ?? false,
  };
}
