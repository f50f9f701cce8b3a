/**
 * The tokenizer of a GGUF file as a tokenizer.json of the same ids: byte-level BPE ("gpt2"), or SentencePiece's BPE
 * ("llama"), whose merges are made of the scores. What the file does not say is as llama.cpp has it
 * (src/llama-vocab.cpp), except that the normaliser of a family is kept: see gguf-pre-tokenizers.ts.
 */
import { TimeSlices } from "../event-loop/time-slices.ts";
import { preTokenizerNamed } from "./gguf-pre-tokenizers.ts";
import type { AddedToken, SpecialName, TokenizerConfig } from "./tokenizer-config.ts";
import { Definition, type TokenizerFiles } from "./tokenizer-file.ts";

/** Under the names of the format (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#tokenizer). */
export type GgufVocabulary = Readonly<{
  "ggml.model": string;
  "ggml.pre"?: string | undefined;
  /** By id. */
  "ggml.tokens": readonly string[];
  /** Of SentencePiece; the higher is merged first. */
  "ggml.scores"?: Float32Array | undefined;
  "ggml.token_type"?: Int32Array | undefined;
  /** Two tokens with a space between, the first is merged first. */
  "ggml.merges"?: readonly string[] | undefined;
  "ggml.bos_token_id"?: number | undefined;
  "ggml.eos_token_id"?: number | undefined;
  "ggml.unknown_token_id"?: number | undefined;
  "ggml.padding_token_id"?: number | undefined;
  "ggml.add_bos_token"?: boolean | undefined;
  "ggml.add_eos_token"?: boolean | undefined;
  "ggml.add_space_prefix"?: boolean | undefined;
}>;

const tokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, byte: 6 } as const;

type Ids = ReadonlyMap<string, number>;

/** @throws Error for a kind of tokenizer that is not known, or ids that are of no token */
export async function filesOfGguf(vocabulary: GgufVocabulary): Promise<TokenizerFiles> {
  const ids = idsOf(vocabulary["ggml.tokens"]);
  const special = specialOf(vocabulary);
  const { parts, addBos } = await partsOf(vocabulary, ids);
  const definition = Definition.parse({
    version: "1.0",
    added_tokens: addedTokens(vocabulary, special),
    post_processor: around({
      bos: (vocabulary["ggml.add_bos_token"] ?? addBos) ? tokenFor("bos_token", special) : null,
      eos: vocabulary["ggml.add_eos_token"] ? tokenFor("eos_token", special) : null,
    }),
    ...parts,
  });
  return { definition, config: configOf(special) };
}

async function partsOf(
  vocabulary: GgufVocabulary,
  ids: Ids,
): Promise<{ parts: object; addBos: boolean }> {
  const model = vocabulary["ggml.model"];
  if (model === "gpt2") {
    const rules = preTokenizerNamed(vocabulary["ggml.pre"]);
    return { parts: byteLevel(vocabulary, ids, rules), addBos: rules.addBos };
  }
  if (model === "llama") return { parts: await sentencePiece(vocabulary, ids), addBos: true };
  throw new Error(`the GGUF file's tokenizer is a "${model}": only gpt2 and llama are known`);
}

function idsOf(tokens: readonly string[]): Ids {
  const ids = new Map<string, number>();
  for (const [id, token] of tokens.entries()) {
    const other = ids.get(token);
    if (other !== undefined) {
      throw new Error(
        `the GGUF file has the token ${JSON.stringify(token)} twice: ${other} and ${id}`,
      );
    }
    ids.set(token, id);
  }
  return ids;
}

function byteLevel(
  vocabulary: GgufVocabulary,
  ids: Ids,
  { normalizer, splits, byteLevelSplits, ignoreMerges }: ReturnType<typeof preTokenizerNamed>,
): object {
  const merges = vocabulary["ggml.merges"];
  if (merges === undefined) throw new Error("the GGUF file has no tokenizer.ggml.merges");
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
  return {
    normalizer,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [...splits, { ...bytes, use_regex: byteLevelSplits }],
    },
    decoder: { ...bytes, use_regex: true },
    model: { type: "BPE", ignore_merges: ignoreMerges, vocab: Object.fromEntries(ids), merges },
  };
}

/** SentencePiece writes a space so. */
const space = "\u2581";

async function sentencePiece(vocabulary: GgufVocabulary, ids: Ids): Promise<object> {
  const prefixed = vocabulary["ggml.add_space_prefix"] ?? true;
  const escaped = { type: "Replace", pattern: { String: " " }, content: space };
  const unescaped = { type: "Replace", pattern: { String: space }, content: " " };
  const strip = prefixed ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : [];
  return {
    normalizer: {
      type: "Sequence",
      normalizers: [...(prefixed ? [{ type: "Prepend", prepend: space }] : []), escaped],
    },
    pre_tokenizer: null,
    decoder: {
      type: "Sequence",
      decoders: [unescaped, { type: "ByteFallback" }, { type: "Fuse" }, ...strip],
    },
    model: {
      type: "BPE",
      unk_token: unknownOf(vocabulary),
      fuse_unk: true,
      byte_fallback: vocabulary["ggml.token_type"]?.includes(tokenType.byte) ?? false,
      vocab: Object.fromEntries(ids),
      merges: await mergesOf(vocabulary, ids),
    },
  };
}

function unknownOf(vocabulary: GgufVocabulary): string | null {
  const named = vocabulary["ggml.unknown_token_id"];
  const id = named ?? vocabulary["ggml.token_type"]?.indexOf(tokenType.unknown) ?? -1;
  return vocabulary["ggml.tokens"][id] ?? null;
}

type Merge = { pair: [string, string]; score: number };

/** Every two tokens that make a third one, in the order of its score. */
async function mergesOf(vocabulary: GgufVocabulary, ids: Ids): Promise<[string, string][]> {
  const { "ggml.scores": scores, "ggml.token_type": types } = vocabulary;
  if (scores === undefined) throw new Error("the GGUF file has no tokenizer.ggml.scores");
  const slices = new TimeSlices();
  const merges: Merge[] = [];
  for (const [id, token] of vocabulary["ggml.tokens"].entries()) {
    if (slices.over) await slices.next();
    if ((types?.[id] ?? tokenType.normal) !== tokenType.normal) continue;
    for (const pair of halvesOf(token)) {
      if (pair.every((half) => ids.has(half))) merges.push({ pair, score: scores[id] ?? 0 });
    }
  }
  merges.sort((a, b) => b.score - a.score);
  return merges.map(({ pair }) => pair);
}

/** Cut between characters. */
function* halvesOf(token: string): Generator<[string, string]> {
  let left = "";
  for (const character of token) {
    if (left !== "") yield [left, token.slice(left.length)];
    left += character;
  }
}

/** Tokens that are found in a text before it is cut into words. Those of control have no text of their own. */
function addedTokens(
  vocabulary: GgufVocabulary,
  special: TokenizerConfig["special"],
): (AddedToken & { id: number })[] {
  const types = vocabulary["ggml.token_type"];
  const named = new Set(Object.values(special).map((token) => token?.id));
  return vocabulary["ggml.tokens"].flatMap((content, id) => {
    const type = types?.[id] ?? tokenType.normal;
    const isSpecial = type === tokenType.control || type === tokenType.unknown || named.has(id);
    if (!isSpecial && type !== tokenType.userDefined) return [];
    return [{ ...addedToken(content, isSpecial), id }];
  });
}

function addedToken(content: string, special: boolean): AddedToken {
  const usual = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  return { ...usual, content, id: null, special };
}

const idKeys = {
  bos_token: "ggml.bos_token_id",
  eos_token: "ggml.eos_token_id",
  unk_token: "ggml.unknown_token_id",
  pad_token: "ggml.padding_token_id",
} as const satisfies Partial<Record<SpecialName, keyof GgufVocabulary>>;

function specialOf(vocabulary: GgufVocabulary): TokenizerConfig["special"] {
  const special: TokenizerConfig["special"] = {};
  for (const name of ["bos_token", "eos_token", "unk_token", "pad_token"] as const) {
    const id = vocabulary[idKeys[name]];
    if (id === undefined) continue;
    const content = vocabulary["ggml.tokens"][id];
    if (content === undefined) {
      throw new Error(`the GGUF file's tokenizer.${idKeys[name]} ${id} is of no token`);
    }
    special[name] = { ...addedToken(content, true), id };
  }
  return special;
}

function tokenFor(name: SpecialName, special: TokenizerConfig["special"]): AddedToken {
  const token = special[name];
  if (token) return token;
  throw new Error(`the GGUF file adds a ${name} to each text and has none`);
}

type Ends = { bos: AddedToken | null; eos: AddedToken | null };

function specialPart(token: AddedToken | null, typeId: number): object[] {
  return token === null ? [] : [{ SpecialToken: { id: token.content, type_id: typeId } }];
}

function around({ bos, eos }: Ends): object | null {
  const tokens = [bos, eos].filter((token) => token !== null);
  if (tokens.length === 0) return null;
  const text = (id: "A" | "B", typeId: number) => [
    ...specialPart(bos, typeId),
    { Sequence: { id, type_id: typeId } },
    ...specialPart(eos, typeId),
  ];
  const named = tokens.map(({ content: id, id: number }) => [
    id,
    { id, ids: [number], tokens: [id] },
  ]);
  return {
    type: "TemplateProcessing",
    single: text("A", 0),
    pair: [...text("A", 0), ...text("B", 1)],
    special_tokens: Object.fromEntries(named),
  };
}

function configOf(special: TokenizerConfig["special"]): TokenizerConfig {
  return {
    tokenizerClass: null,
    modelType: null,
    special,
    extra: [],
    added: [],
    normalizer: { lowercase: null, stripAccents: null, chinese: null },
    addPrefixSpace: false,
    trimOffsets: true,
    cleanUpSpaces: false,
  };
}
