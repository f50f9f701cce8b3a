/**
 * The files of a tokenizer as checkpoints have them: tokenizer.json and tokenizer_config.json or, of old checkpoints, the
 * bare vocabulary, of which the definition is made that Hugging Face's converters make (convert_slow_tokenizer.py).
 * Truncation and padding written in tokenizer.json are taken out: lengths are the pipelines' business.
 */
import { readFile } from "node:fs/promises";
import path from "node:path";
import * as z from "zod";

const Part = z.looseObject({ type: z.string() }).nullish();

const Definition = z
  .looseObject({ model: z.looseObject({}), normalizer: Part })
  .transform((file) => ({ ...file, truncation: null, padding: null }));
type Definition = z.infer<typeof Definition>;

/** A token by its text, or as an object that holds it. */
const TokenText = z
  .union([z.string(), z.looseObject({ content: z.string() }).transform(({ content }) => content)])
  .nullish();

const SpecialTokens = z.looseObject({
  bos_token: TokenText,
  eos_token: TokenText,
  unk_token: TokenText,
  sep_token: TokenText,
  cls_token: TokenText,
  pad_token: TokenText,
  mask_token: TokenText,
});

const Config = SpecialTokens.extend({
  do_lower_case: z.boolean().nullish(),
  strip_accents: z.boolean().nullish(),
  tokenize_chinese_chars: z.boolean().nullish(),
  add_prefix_space: z.boolean().nullish(),
});
type Config = z.infer<typeof Config>;

export type TokenizerFiles = {
  /** tokenizer.json. */
  definition: string;
  /** The text of the mask token; null where the files name none. */
  maskToken: string | null;
};

/** What a model wants of its tokenizer beyond the tokenizer's own files. */
export type TokenizerRules = {
  /** Texts are put into lower case before the tokenizer's own normaliser, as sentence-transformers does. Default false. */
  lowerCase?: boolean;
};

/** @throws where the folder has no file that a tokenizer can be made of, or one that is damaged */
export async function readTokenizerFiles(
  folder: string,
  { lowerCase = false }: TokenizerRules = {},
): Promise<TokenizerFiles> {
  const map = await readJson(folder, "special_tokens_map.json", SpecialTokens);
  const own = await readJson(folder, "tokenizer_config.json", Config);
  const config: Config = { ...map, ...own };
  const written = await readJson(folder, "tokenizer.json", Definition);
  const definition =
    written === null
      ? ((await bertDefinition(folder, config)) ?? (await robertaDefinition(folder, config)))
      : asConfigured(written, config);
  if (definition !== null) {
    const read = lowerCase ? inLowerCase(definition) : definition;
    return { definition: JSON.stringify(read), maskToken: config.mask_token ?? null };
  }
  throw new Error(
    `${path.basename(folder)} has no tokenizer.json, nor the vocab.txt of a BERT or the vocab.json and merges.txt of a RoBERTa. ` +
      "Make it with Python: transformers.AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
  );
}

function inLowerCase(definition: object): object {
  const { normalizer } = z.looseObject({ normalizer: Part }).parse(definition);
  const normalizers = [{ type: "Lowercase" }, ...(normalizer ? [normalizer] : [])];
  return { ...definition, normalizer: { type: "Sequence", normalizers } };
}

/** BertTokenizerFast lets its config overrule the normaliser of tokenizer.json. */
function asConfigured(definition: Definition, config: Config): object {
  const { normalizer } = definition;
  if (normalizer?.type !== "BertNormalizer") return definition;
  const said = Object.entries(bertNormalizer(config)).filter(([, value]) => value !== undefined);
  return { ...definition, normalizer: { ...normalizer, ...Object.fromEntries(said) } };
}

function bertNormalizer(config: Config) {
  return {
    lowercase: config.do_lower_case ?? undefined,
    strip_accents: config.strip_accents ?? undefined,
    handle_chinese_chars: config.tokenize_chinese_chars ?? undefined,
  };
}

async function bertDefinition(folder: string, config: Config): Promise<object | null> {
  const lines = await readText(folder, "vocab.txt");
  if (lines === null) return null;
  const pieces = lines.replace(/\r?\n$/, "").split(/\r?\n/);
  const vocab = Object.fromEntries(pieces.map((piece, id) => [piece, id]));
  const unknown = config.unk_token ?? "[UNK]";
  const [first, last] = [config.cls_token ?? "[CLS]", config.sep_token ?? "[SEP]"];
  const others = [config.pad_token ?? "[PAD]", config.mask_token ?? "[MASK]"];
  return {
    version: "1.0",
    added_tokens: specialTokens([unknown, first, last, ...others], vocab),
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      lowercase: config.do_lower_case ?? true,
      strip_accents: config.strip_accents ?? null,
      handle_chinese_chars: config.tokenize_chinese_chars ?? true,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: {
      type: "BertProcessing",
      cls: [first, vocab[first] ?? 0],
      sep: [last, vocab[last] ?? 0],
    },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: unknown,
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab,
    },
  };
}

async function robertaDefinition(folder: string, config: Config): Promise<object | null> {
  const vocab = await readJson(folder, "vocab.json", z.record(z.string(), z.int().nonnegative()));
  const merges = await readText(folder, "merges.txt");
  if (vocab === null || merges === null) return null;
  const [first, last] = [config.bos_token ?? "<s>", config.eos_token ?? "</s>"];
  const mask = config.mask_token ?? "<mask>";
  const others = [config.unk_token ?? "<unk>", config.pad_token ?? "<pad>", mask];
  const prefix = config.add_prefix_space ?? false;
  return {
    version: "1.0",
    added_tokens: specialTokens([first, last, ...others], vocab).map((token) =>
      token.content === mask ? { ...token, lstrip: true } : token,
    ),
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: prefix, trim_offsets: true },
    post_processor: {
      type: "RobertaProcessing",
      cls: [first, vocab[first] ?? 0],
      sep: [last, vocab[last] ?? 0],
      trim_offsets: true,
      add_prefix_space: prefix,
    },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true },
    model: { type: "BPE", vocab, merges: merges.split(/\r?\n/).filter(isMerge) },
  };
}

const isMerge = (line: string) => line !== "" && !line.startsWith("#version");

function specialTokens(contents: string[], vocab: Record<string, number>) {
  return [...new Set(contents)].flatMap((content) => {
    const id = vocab[content];
    const rules = { single_word: false, lstrip: false, rstrip: false, normalized: false };
    return id === undefined ? [] : [{ id, content, ...rules, special: true }];
  });
}

/** Null where there is no such file. @throws where it is damaged, naming it */
async function readJson<T>(folder: string, name: string, schema: z.ZodType<T>): Promise<T | null> {
  const text = await readText(folder, name);
  if (text === null) return null;
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    throw new Error(`${name} cannot be used: ${why}`, { cause: error });
  }
}

/** Null where there is no such file. */
async function readText(folder: string, name: string): Promise<string | null> {
  try {
    return await readFile(path.join(folder, name), "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}
