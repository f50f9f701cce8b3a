/**
 * How a text is cut into words before byte-level BPE, by the name that a GGUF file gives it in `tokenizer.ggml.pre`:
 * the rules of llama.cpp's src/llama-vocab.cpp, written as the tokenizer.json of the family they come from has them. A
 * name that is not listed is refused: cut differently, a text gets other ids, and the model answers worse unnoticed.
 */

export type PreTokenizer = {
  /** The part of a tokenizer.json that changes the text first; null: it stays as it is. */
  readonly normalizer: object | null;
  readonly splits: readonly object[];
  /** Whether ByteLevel cuts words too, by GPT-2's rule. */
  readonly byteLevelSplits: boolean;
  /** A word that is a token is taken whole, however it would be merged. */
  readonly ignoreMerges: boolean;
  /** Where the file does not say. */
  readonly addBos: boolean;
};

function isolated(regex: string): object {
  return { type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false };
}

/** Of Llama 3 and Qwen 2, which differ in the digits that may stand together. */
function wordsWithDigits(digits: string): object {
  return isolated(
    String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|${digits}| ?[^\s\p{L}\p{N}]+[\r\n]*` +
      String.raw`|\s*[\r\n]+|\s+(?!\S)|\s+`,
  );
}

const gpt2: PreTokenizer = {
  normalizer: null,
  splits: [],
  byteLevelSplits: true,
  ignoreMerges: false,
  addBos: false,
};

const smollm: PreTokenizer = {
  ...gpt2,
  splits: [{ type: "Digits", individual_digits: true }],
};

/** llama.cpp leaves out the normaliser, so that there a letter and its combining accent get other ids than upstream. */
const qwen2: PreTokenizer = {
  ...gpt2,
  normalizer: { type: "NFC" },
  splits: [wordsWithDigits(String.raw`\p{N}`)],
  byteLevelSplits: false,
};

const llama3: PreTokenizer = {
  ...gpt2,
  splits: [wordsWithDigits(String.raw`\p{N}{1,3}`)],
  byteLevelSplits: false,
  ignoreMerges: true,
  addBos: true,
};

/** What llama.cpp takes for a tokenizer that it has no own rule for. */
const byDefault: PreTokenizer = {
  ...gpt2,
  splits: [
    isolated(String.raw`[\p{P}\$\+<=>\^~\|]+`),
    isolated(String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)`),
    isolated(String.raw`\p{N}+`),
    isolated("[0-9][0-9][0-9]"),
  ],
  byteLevelSplits: false,
};

/** Names that stand for one rule in llama.cpp too. */
const byName: Readonly<Record<string, PreTokenizer>> = {
  default: byDefault,
  "gpt-2": gpt2,
  smollm,
  qwen2,
  "deepseek-r1-qwen": qwen2,
  "llama-bpe": llama3,
  "llama-v3": llama3,
  llama3,
};

/** @throws Error for a name that is not known, or none */
export function preTokenizerNamed(name: string | undefined): PreTokenizer {
  const found = name !== undefined && Object.hasOwn(byName, name) ? byName[name] : undefined;
  if (found !== undefined) return found;
  const what =
    name === undefined
      ? "names no tokenizer.ggml.pre (an old llama.cpp converted it: convert it again)"
      : `has the tokenizer.ggml.pre "${name}"`;
  throw new Error(`the GGUF file ${what}: only ${Object.keys(byName).join(", ")} are known`);
}
