/**
 * Makes the small form of a sentence encoder that ships with the worker: matrices as int8 with a scale per row, vectors
 * as f32, the tokenizer without the truncation and padding that its maker left in. The same origin gives the same
 * bytes.
 */
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import * as z from "zod";
import { sha256OfFile } from "../files/file-digest.ts";
import { readJson } from "../files/json-file.ts";
import { fitInt8Rows } from "../weights/fit-int8-rows.ts";
import { scaleSuffix, storageMetadata } from "../weights/int8-rows.ts";
import { readFloat32 } from "../weights/read-float32.ts";
import { openSafetensors } from "../weights/safetensors-reader.ts";
import { type TensorToWrite, writeSafetensors } from "../weights/safetensors-writer.ts";
import type { WeightEntry, WeightSource } from "../weights/weight-source.ts";
import { type Checkpoint, readCheckpoint } from "./checkpoint.ts";

const copied = [
  "config.json",
  "modules.json",
  "sentence_bert_config.json",
  "1_Pooling/config.json",
  "tokenizer_config.json",
] as const;

export type Origin = {
  id: string;
  /** Its name on the hub. */
  repository: string;
  licence: string;
};

export type EmbedOptions = { from: string; to: string; origin: Origin; signal: AbortSignal };

/** Every file it writes, below `to`. */
export const embeddedFiles = [
  ...copied,
  "tokenizer.json",
  "model.safetensors",
  "llm-os.json",
  "README.md",
] as const;

/** The two rows of the token types are added to every token: their rounding costs much, their bytes nothing. */
const fewRows = 8;

function isLargeMatrix({ shape }: WeightEntry): boolean {
  return shape.length === 2 && (shape[0] ?? 0) >= fewRows;
}

/**
 * Numbers that a model counts with rather than learns, such as position ids, are made anew wherever they are needed.
 */
function isLearnt({ dtype }: WeightEntry): boolean {
  return dtype.startsWith("float") || dtype === "bfloat16";
}

function stored(source: WeightSource, entry: WeightEntry): TensorToWrite[] {
  const { name, shape } = entry;
  const values = readFloat32(source, name);
  if (!isLargeMatrix(entry)) return [{ name, dtype: "float32", shape, load: () => values }];
  const fitted = fitInt8Rows(values, shape[1] ?? 1);
  return [
    { name, dtype: "int8", shape, load: () => fitted.values },
    {
      name: name + scaleSuffix,
      dtype: "float32",
      shape: [fitted.rows],
      load: () => fitted.scales,
    },
  ];
}

async function writeWeights(from: string, to: string, derivedFrom: string): Promise<void> {
  const source = openSafetensors(from);
  try {
    const entries = source.names().flatMap((name) => source.entry(name) ?? []);
    const tensors = entries.filter(isLearnt).flatMap((entry) => stored(source, entry));
    await writeSafetensors(to, tensors, {
      ...storageMetadata,
      "llm-os.derived-from": derivedFrom,
    });
  } finally {
    source.close();
  }
}

async function writeTokenizer(from: string, to: string): Promise<void> {
  const file = await readJson(from, "tokenizer.json", z.looseObject({}));
  if (file === null) throw new Error("tokenizer.json is missing");
  const target = path.join(to, "tokenizer.json");
  await writeFile(target, `${JSON.stringify({ ...file, truncation: null, padding: null })}\n`);
}

function card({ id, repository, licence }: Origin, derivedFrom: string): string {
  return `---
license: ${licence}
base_model: ${repository}
pipeline_tag: feature-extraction
---

# ${id}, 8 bits

The weights of [${repository}](https://huggingface.co/${repository}) with every matrix stored \
as int8 and one f32 scale per
row (\`X ≈ X · X.scale\`), the scale of each row chosen for the least squared error. Biases, LayerNorms and \
token types stay f32.
The tokenizer is upstream's with truncation and padding switched off. How it is computed, in f32 or in int8, is \
decided on
the machine that runs it.

Made from the f32 weights with sha256 \`${derivedFrom}\` by

\`\`\`
npm run model -- fetch ${id}
npm run model -- embed ${id} --out gpu-worker/catalog/embedded/${id}
\`\`\`

which gives these files byte for byte. LICENSE and NOTICE were added by hand.
`;
}

/** What lies in other files than those copied would be lost, and the vectors would be others. */
function refuseOddSentence({ sentence, lowerCase }: Checkpoint): void {
  if (sentence === null) throw new Error("it makes no sentence vectors");
  const prompts = Object.values(sentence.prompts).filter((prompt) => prompt !== "");
  const plain = sentence.stages.length === 0 && sentence.keep === null && sentence.includePrompt;
  if (plain && prompts.length === 0 && sentence.similarity === "cosine" && !lowerCase) return;
  throw new Error("only an encoder of Pooling and Normalize, without prompts, can be embedded");
}

/** @returns the bytes of the files written. @throws where the origin cannot be read or is no sentence encoder */
export async function embedModel({ from, to, origin, signal }: EmbedOptions): Promise<number> {
  const checkpoint = await readCheckpoint(from);
  refuseOddSentence(checkpoint);
  const derivedFrom = await sha256OfFile(checkpoint.weightsFile, signal);
  await mkdir(path.join(to, "1_Pooling"), { recursive: true });
  // Contents only: the origin may be read-only, what is made here is not.
  for (const name of copied)
    await writeFile(path.join(to, name), await readFile(path.join(from, name)));
  await writeTokenizer(from, to);
  await writeWeights(checkpoint.weightsFile, path.join(to, "model.safetensors"), derivedFrom);
  const own = { formatVersion: 1, id: origin.id, licence: origin.licence, derivedFrom };
  await writeFile(path.join(to, "llm-os.json"), `${JSON.stringify(own, null, 2)}\n`);
  await writeFile(path.join(to, "README.md"), card(origin, derivedFrom));
  const sizes = await Promise.all(embeddedFiles.map((name) => stat(path.join(to, name))));
  return sizes.reduce((sum, { size }) => sum + size, 0);
}
