/**
 * Tokenizers of checkpoints that bring no tokenizer.json but the vocabulary alone: the definition that transformers'
 * class of that name makes of it. What a vocabulary means depends on the class, so that a class which is not listed
 * here is refused by name: a vocab.txt may as well hold the pieces of words that a Japanese dictionary finds.
 */
import * as z from "zod";
import { readJson, readText } from "../files/json-file.ts";
import type { AddedToken, SpecialName, TokenizerConfig } from "./tokenizer-config.ts";

type Vocabulary = Readonly<Record<string, number>>;

/** The texts of a class's special tokens where the files say nothing else. */
type Defaults = Readonly<Partial<Record<SpecialName, string>>>;

type BareClass = {
  /** The files it is made of, for people. */
  readonly files: string;
  readonly defaults: Defaults;
  /** Null where the folder lacks one of the files. */
  read(folder: string): Promise<{ vocabulary: Vocabulary; merges: readonly string[] } | null>;
  define(parts: Parts): object;
};

type Parts = {
  readonly vocabulary: Vocabulary;
  readonly merges: readonly string[];
  readonly config: TokenizerConfig;
  /** The text of a special token and its id. */
  idOf(name: SpecialName): [string, number];
};

/** Rust's reader takes a line without the white space at its end; of equal ones the last counts. */
function vocabularyOf(lines: string): Vocabulary {
  const pieces = lines.replace(/\n$/, "").split("\n");
  return Object.fromEntries(
    pieces.map((piece, id) => [piece.replace(/\p{White_Space}+$/u, ""), id]),
  );
}

const wordPiece: BareClass = {
  files: "vocab.txt",
  defaults: {
    unk_token: "[UNK]",
    cls_token: "[CLS]",
    sep_token: "[SEP]",
    pad_token: "[PAD]",
    mask_token: "[MASK]",
  },
  async read(folder) {
    const lines = await readText(folder, "vocab.txt");
    return lines === null ? null : { vocabulary: vocabularyOf(lines), merges: [] };
  },
  define({ vocabulary, config: { normalizer }, idOf }) {
    return {
      normalizer: {
        type: "BertNormalizer",
        clean_text: true,
        lowercase: normalizer.lowercase ?? true,
        strip_accents: normalizer.stripAccents,
        handle_chinese_chars: normalizer.chinese ?? true,
      },
      pre_tokenizer: { type: "BertPreTokenizer" },
      post_processor: { type: "BertProcessing", cls: idOf("cls_token"), sep: idOf("sep_token") },
      decoder: { type: "WordPiece", prefix: "##", cleanup: true },
      model: {
        type: "WordPiece",
        unk_token: idOf("unk_token")[0],
        continuing_subword_prefix: "##",
        max_input_chars_per_word: 100,
        vocab: vocabulary,
      },
    };
  },
};

const isMerge = (line: string) => line !== "" && !line.startsWith("#version");

const byteLevel: BareClass = {
  files: "vocab.json and merges.txt",
  defaults: {
    cls_token: "<s>",
    pad_token: "<pad>",
    sep_token: "</s>",
    unk_token: "<unk>",
    bos_token: "<s>",
    eos_token: "</s>",
    mask_token: "<mask>",
  },
  async read(folder) {
    const schema = z.record(z.string(), z.int().nonnegative());
    const vocabulary = await readJson(folder, "vocab.json", schema);
    const merges = await readText(folder, "merges.txt");
    if (vocabulary === null || merges === null) return null;
    return { vocabulary, merges: merges.split(/\r?\n/).filter(isMerge) };
  },
  define({ vocabulary, merges, config, idOf }) {
    const { addPrefixSpace: prefix, trimOffsets: trim } = config;
    return {
      pre_tokenizer: { type: "ByteLevel", add_prefix_space: prefix, trim_offsets: true },
      post_processor: {
        type: "RobertaProcessing",
        cls: idOf("cls_token"),
        sep: idOf("sep_token"),
        trim_offsets: trim,
        add_prefix_space: prefix,
      },
      decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true },
      model: { type: "BPE", vocab: vocabulary, merges },
    };
  },
};

/** By transformers' class, "Fast" left out. */
const classes: Readonly<Record<string, BareClass>> = {
  BertTokenizer: wordPiece,
  ConvBertTokenizer: wordPiece,
  DistilBertTokenizer: wordPiece,
  ElectraTokenizer: wordPiece,
  LayoutLMTokenizer: wordPiece,
  LxmertTokenizer: wordPiece,
  MobileBertTokenizer: wordPiece,
  SqueezeBertTokenizer: wordPiece,
  LongformerTokenizer: byteLevel,
  RobertaTokenizer: byteLevel,
};

/** The class of a model, where its files name none. */
const classOfModel: Readonly<Record<string, string>> = {
  bert: "BertTokenizer",
  convbert: "ConvBertTokenizer",
  distilbert: "DistilBertTokenizer",
  electra: "ElectraTokenizer",
  longformer: "LongformerTokenizer",
  mobilebert: "MobileBertTokenizer",
  roberta: "RobertaTokenizer",
  squeezebert: "SqueezeBertTokenizer",
};

const remedy =
  "Or give the folder a tokenizer.json: transformers.AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) " +
  "writes it, for all classes that have one";

function bareClass({ tokenizerClass, modelType }: TokenizerConfig): {
  name: string;
  of: BareClass;
} {
  const name = tokenizerClass ?? classOfModel[modelType ?? ""] ?? null;
  const of = name === null ? undefined : classes[name];
  if (name !== null && of !== undefined) return { name, of };
  const what =
    name === null
      ? "neither tokenizer_config.json nor config.json names its tokenizer_class, " +
        `and model_type ${modelType} does not tell it`
      : `its tokenizer_class ${name} is not read from a bare vocabulary`;
  throw new Error(
    `there is no tokenizer.json, and ${what}: only ${Object.keys(classes).join(", ")} are. ${remedy}`,
  );
}

/** The class's special tokens, with what the files say of them; RoBERTa's mask includes the space before it. */
function specialTokens({ defaults }: BareClass, { special }: TokenizerConfig) {
  return Object.entries(defaults).flatMap(([name, content]): [string, AddedToken][] => {
    const said = special[name as SpecialName];
    if (said === null) return [];
    const lstrip = content === "<mask>";
    const usual = { single_word: false, lstrip, rstrip: false, normalized: false, special: true };
    return [[name, said ?? { ...usual, content, id: null }]];
  });
}

/**
 * The definition, as tokenizer.json would hold it, but for its added tokens.
 * @returns the special tokens with it
 * @throws Error for a class that is not read so, missing files or special tokens that are in no vocabulary
 */
export async function readBareVocabulary(
  folder: string,
  config: TokenizerConfig,
): Promise<{ definition: object; special: AddedToken[] }> {
  const { name, of } = bareClass(config);
  const files = await of.read(folder);
  if (files === null) {
    throw new Error(`there is neither tokenizer.json nor the ${of.files} of a ${name}. ${remedy}`);
  }
  const { vocabulary, merges } = files;
  const tokens = new Map(specialTokens(of, config));
  const added = new Map(config.added.map(({ content, id }) => [content, id]));
  const find = (content: string) => vocabulary[content] ?? added.get(content);
  const missing = [...tokens].filter(([, { content }]) => find(content) === undefined);
  if (missing.length > 0) {
    const list = missing.map(([part, { content }]) => `${content} (${part})`).join(", ");
    throw new Error(
      `its vocabulary lacks ${list}: the files are not of one tokenizer. Name its special tokens in ` +
        "special_tokens_map.json, null for one that it has not",
    );
  }
  const idOf = (part: SpecialName): [string, number] => {
    const content = tokens.get(part)?.content;
    const id = content === undefined ? undefined : find(content);
    if (content === undefined || id === undefined) {
      throw new Error(`special_tokens_map.json says that it has no ${part}, which a ${name} needs`);
    }
    return [content, id];
  };
  const definition = { version: "1.0", ...of.define({ vocabulary, merges, config, idOf }) };
  return { definition, special: [...tokens.values()] };
}
