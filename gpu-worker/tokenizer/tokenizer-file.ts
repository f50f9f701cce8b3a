/**
 * The files of a tokenizer as checkpoints have them, as one definition: tokenizer.json or, of old checkpoints, the bare
 * vocabulary; with the tokens that the files beside it add. Truncation and padding written in tokenizer.json are taken
 * out: the pipelines see to lengths.
 */
import * as z from "zod";
import { readBareVocabulary } from "./bare-vocabulary.ts";
import { readJson } from "../files/json-file.ts";
import { type AddedToken, readTokenizerConfig, type TokenizerConfig } from "./tokenizer-config.ts";

const Part = z.looseObject({ type: z.string() }).nullish();

export const Definition = z
  .looseObject({
    model: z.looseObject({
      type: z.string().nullish(),
      continuing_subword_prefix: z.string().nullish(),
      unk_token: z.string().nullish(),
      vocab: z.unknown(),
    }),
    normalizer: Part,
    decoder: Part,
    added_tokens: z
      .array(
        z.looseObject({ id: z.int(), content: z.string(), special: z.boolean().default(false) }),
      )
      .default([]),
  })
  .transform((file) => ({ ...file, truncation: null, padding: null }));
export type Definition = z.infer<typeof Definition>;

export type TokenizerFiles = {
  /** tokenizer.json. */
  definition: Definition;
  config: TokenizerConfig;
};

/** What a model asks of its tokenizer beyond the tokenizer's own files. */
export type TokenizerRules = {
  /**
   * Texts are put into lower case before the tokenizer's own normaliser, as sentence-transformers does. Default false.
   */
  lowerCase?: boolean;
};

/** @throws where the folder has no file that a tokenizer can be made of, or one that is damaged */
export async function readTokenizerFiles(
  folder: string,
  { lowerCase = false }: TokenizerRules = {},
): Promise<TokenizerFiles> {
  const config = await readTokenizerConfig(folder);
  const definition = await definitionOf(folder, config);
  return { definition: lowerCase ? inLowerCase(definition) : definition, config };
}

async function definitionOf(folder: string, config: TokenizerConfig): Promise<Definition> {
  const written = await readJson(folder, "tokenizer.json", Definition);
  if (written !== null) {
    const named = Object.values(config.special).filter((token) => token !== null);
    checkUnknown(written);
    return withAdded(asConfigured(written, config), named, config);
  }
  const { definition, special } = await readBareVocabulary(folder, config);
  return withAdded(Definition.parse(definition), special, config);
}

function inLowerCase(definition: Definition): Definition {
  const { normalizer } = definition;
  const normalizers = [{ type: "Lowercase" }, ...(normalizer ? [normalizer] : [])];
  return { ...definition, normalizer: { type: "Sequence", normalizers } };
}

type Normalizer = Definition["normalizer"];

/** Whether texts are put into lower case, by this or a part of it. BertNormalizer does unless told not to. */
export function lowersCase(normalizer: Normalizer): boolean {
  switch (normalizer?.type) {
    case "Lowercase":
      return true;
    case "BertNormalizer":
      return normalizer["lowercase"] !== false;
    case "Sequence":
      return z
        .array(z.looseObject({ type: z.string() }))
        .parse(normalizer["normalizers"] ?? [])
        .some(lowersCase);
    default:
      return false;
  }
}

/** BertTokenizerFast lets its config overrule the normaliser of tokenizer.json. */
function asConfigured(definition: Definition, { normalizer: asked }: TokenizerConfig): Definition {
  const { normalizer } = definition;
  if (normalizer?.type !== "BertNormalizer") return definition;
  const said = Object.entries({
    lowercase: asked.lowercase,
    strip_accents: asked.stripAccents,
    handle_chinese_chars: asked.chinese,
  }).filter(([, value]) => value !== null);
  return { ...definition, normalizer: { ...normalizer, ...Object.fromEntries(said) } };
}

/** The library would fail on the first text that holds a word it does not know. */
function checkUnknown({ model, added_tokens: added }: Definition): void {
  const { type, unk_token: unknown, vocab } = model;
  if (type !== "WordPiece" || !unknown) return;
  const known = typeof vocab === "object" && vocab !== null && Object.hasOwn(vocab, unknown);
  if (known || added.some(({ content }) => content === unknown)) return;
  throw new Error(`tokenizer.json cannot be used: its vocabulary lacks its unk_token ${unknown}`);
}

/**
 * Adds the tokens that the definition lacks, in transformers' order: those with ids, special tokens by name, others. To
 * a token without an id the library gives the next one.
 */
function withAdded(
  definition: Definition,
  named: readonly AddedToken[],
  { added, extra }: TokenizerConfig,
): Definition {
  const tokens = new Map(definition.added_tokens.map((token) => [token.content, token]));
  const specials = new Set(named.map(({ content }) => content));
  for (const token of [...added, ...named, ...extra]) {
    if (tokens.has(token.content)) continue;
    const special = token.special || specials.has(token.content);
    tokens.set(token.content, { ...token, id: token.id ?? 0, special });
  }
  return { ...definition, added_tokens: [...tokens.values()] };
}
