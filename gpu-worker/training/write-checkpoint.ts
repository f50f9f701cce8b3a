/**
 * A tuned encoder as a checkpoint folder that transformers and the catalogue read: config.json with the labels'
 * names, model.safetensors, the base's tokenizer, and a card.
 */
import { mkdir, rename } from "node:fs/promises";
import path from "node:path";
import { tunedEncoder } from "../architectures/encoder.ts";
import type { TunedHead } from "../architectures/tuned-encoder.ts";
import { writeAtomically } from "../files/write-atomically.ts";
import { readJson, readText } from "../files/json-file.ts";
import { OwnFile, TokenizerConfigFile } from "../checkpoints/checkpoint-files.ts";
import type { Problem } from "../model/model-head.ts";
import { readFloat32 } from "../weights/read-float32.ts";
import { writeSafetensors } from "../weights/safetensors-writer.ts";
import type { WeightSource } from "../weights/weight-source.ts";

export type TunedCheckpoint = {
  /** The base's folder and its config.json. */
  readonly base: { readonly folder: string; readonly config: Readonly<Record<string, unknown>> };
  readonly head: TunedHead;
  readonly labels: readonly string[];
  readonly problem: Problem;
  /** Longest input in tokens. */
  readonly maxTokens: number;
  /** Whether its weights hold a table of word shapes. */
  readonly wordShapes: boolean;
  /** Has what was trained, and the rest. */
  readonly weights: WeightSource;
  /** The tensors that the model reads, by their names in `weights`. */
  readonly names: readonly string[];
  /** Further files, by their paths in the folder. */
  readonly files: Readonly<Record<string, string>>;
  /** README.md. */
  readonly card: string;
};

const problemTypes: Readonly<Record<Problem, string>> = {
  single_label: "single_label_classification",
  multi_label: "multi_label_classification",
  regression: "regression",
};

export const tokenizerFiles = [
  "tokenizer.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.txt",
  "vocab.json",
  "merges.txt",
];

export function json(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** Whether a decoder of the vocabulary is stored beside the word embeddings. */
function hasDecoder({ base, head, names }: TunedCheckpoint): boolean {
  const { maskedHeads } = tunedEncoder(base.config, head);
  return maskedHeads.some(({ decoder }) => decoder !== null && names.includes(decoder));
}

function configOf(tuned: TunedCheckpoint, className: string) {
  const { base, head, labels, problem } = tuned;
  const {
    num_labels: _,
    torch_dtype: __,
    dtype: ___,
    id2label: ____,
    label2id: _____,
    ...config
  } = base.config;
  return {
    ...config,
    architectures: [className],
    ...(labels.length > 0 && {
      id2label: Object.fromEntries(labels.map((label, at) => [at, label])),
      label2id: Object.fromEntries(labels.map((label, at) => [label, at])),
    }),
    ...(head === "masked-lm" && { tie_word_embeddings: !hasDecoder(tuned) }),
    ...(head === "sequence-classification" && { problem_type: problemTypes[problem] }),
    torch_dtype: "float32",
  };
}

/** Null: transformers' files say all. */
function ownOf({ head, wordShapes }: TunedCheckpoint): OwnFile | null {
  const tagger = head === "token-classification" ? ({ decoding: "iob2" } as const) : null;
  if (tagger === null && !wordShapes) return null;
  return { formatVersion: 1, ...tagger, ...(wordShapes && { word_shapes: true }) };
}

/** Those of them that are there. */
export async function copyTexts(from: string, names: readonly string[], to: string): Promise<void> {
  for (const name of names) {
    const text = await readText(from, name);
    if (text !== null) await writeAtomically(path.join(to, name), text);
  }
}

async function copyTokenizer({ base, maxTokens }: TunedCheckpoint, out: string): Promise<void> {
  await copyTexts(base.folder, tokenizerFiles, out);
  const config = await readJson(base.folder, "tokenizer_config.json", TokenizerConfigFile);
  const limited = { ...config, model_max_length: maxTokens };
  await writeAtomically(path.join(out, "tokenizer_config.json"), json(limited));
}

/** model.safetensors. @param names in `weights`, by their names in the file */
export async function writeWeights(
  out: string,
  weights: WeightSource,
  names: ReadonlyMap<string, string>,
): Promise<void> {
  const tensors = [...names].map(([saved, name]) => ({
    name: saved,
    dtype: "float32" as const,
    shape: weights.entry(name)?.shape ?? [],
    load: () => readFloat32(weights, name),
  }));
  const file = path.join(out, "model.safetensors");
  await writeSafetensors(`${file}.tmp`, tensors, { format: "pt" });
  await rename(`${file}.tmp`, file);
}

/** The config comes last, because it makes the folder a model: nobody takes one that is half written. */
export async function writeCheckpoint(out: string, tuned: TunedCheckpoint): Promise<void> {
  const { base, head, weights, names, card } = tuned;
  const { className, savedName } = tunedEncoder(base.config, head);
  await mkdir(out, { recursive: true });
  await writeWeights(out, weights, new Map(names.map((name) => [savedName(name), name])));
  await copyTokenizer(tuned, out);
  for (const [name, content] of Object.entries(tuned.files)) {
    await mkdir(path.dirname(path.join(out, name)), { recursive: true });
    await writeAtomically(path.join(out, name), content);
  }
  await writeAtomically(path.join(out, "README.md"), card);
  const own = ownOf(tuned);
  if (own !== null) await writeAtomically(path.join(out, "llm-os.json"), json(own));
  await writeAtomically(path.join(out, "config.json"), json(configOf(tuned, className)));
}
