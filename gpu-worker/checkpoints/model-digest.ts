/**
 * The identity of what a model answers: its weights, every file that shapes its answers, and the form it is computed
 * in. Two workers with the same digest give the same vectors, so the edge may hand one's result out for the other's.
 */
import { createHash } from "node:crypto";
import path from "node:path";
import type { KeptDigests } from "../files/kept-digests.ts";
import { type Checkpoint, identityFiles, type WeightsFormat } from "./checkpoint.ts";
import type { DecoderCheckpoint } from "./decoder-checkpoint.ts";
import { onnxDataNames } from "./onnx-file.ts";

export type FilesDigest = {
  format: WeightsFormat | DecoderCheckpoint["format"];
  /** As `digestWeights` gives it: sha256 of the weights file; of several, over their names and digests. */
  weights: string;
  /** sha256 over the weights' and all other identity files' names and digests. */
  files: string;
};

/** @throws the file system's error, or the signal's reason */
export function digestFiles(
  checkpoint: Checkpoint | DecoderCheckpoint,
  digests: KeptDigests,
  signal: AbortSignal,
): Promise<FilesDigest> {
  if (checkpoint.kind === "decoder") return digestDecoder(checkpoint, { digests, signal });
  const { folder, format, weightsFile, sentence, stageFiles } = checkpoint;
  const data = format === "onnx" ? onnxDataNames(path.relative(folder, weightsFile)) : [];
  // They may be the catalogue's, which is none of the files.
  const prompts = Object.entries(sentence?.prompts ?? {});
  const named = {
    weightsFiles: [weightsFile],
    others: [...identityFiles, ...stageFiles, ...data],
    words: prompts.length > 0 ? `prompts ${JSON.stringify(prompts)}\n` : "",
  };
  return digestNamed({ folder, format, ...named }, { digests, signal });
}

/** Files besides an encoder's that decide what a decoder answers. */
const decoderFiles = ["generation_config.json", "chat_template.jinja"];

function digestDecoder(
  { folder, format, weightsFiles, limits }: DecoderCheckpoint,
  reading: Reading,
): Promise<FilesDigest> {
  const others = [...identityFiles, ...decoderFiles];
  // Where a text must end is part of what is answered.
  const words = `tokens ${limits.maxTokens}\n`;
  return digestNamed({ folder, format, weightsFiles, others, words }, reading);
}

type Reading = { digests: Pick<KeptDigests, "sha256">; signal: AbortSignal };
type NamedFiles = {
  folder: string;
  format: FilesDigest["format"];
  weightsFiles: readonly string[];
  others: readonly string[];
  /** What is part of the identity besides the files. */
  words: string;
};

async function digestNamed(
  { folder, format, weightsFiles, others, words }: NamedFiles,
  { digests, signal }: Reading,
): Promise<FilesDigest> {
  const weights = await digestWeights(weightsFiles, { digests, signal });
  const hash = createHash("sha256").update(`weights ${weights}\n`);
  for (const name of new Set(others)) {
    const digest = await digests.sha256(path.join(folder, name), signal).catch(() => null);
    signal.throwIfAborted();
    if (digest !== null) hash.update(`${name} ${digest}\n`);
  }
  return { format, weights, files: hash.update(words).digest("hex") };
}

/** What adapters name their base by. @returns lower-case hex */
export async function digestWeights(
  files: readonly string[],
  { digests, signal }: Reading,
): Promise<string> {
  const [first, ...further] = files;
  if (first !== undefined && further.length === 0) return digests.sha256(first, signal);
  const hash = createHash("sha256");
  for (const file of files) {
    hash.update(`${path.basename(file)} ${await digests.sha256(file, signal)}\n`);
  }
  return hash.digest("hex");
}

/** @returns lower-case hex */
export function modelDigest(files: FilesDigest, form: string, builderVersion: number): string {
  return createHash("sha256")
    .update(`${files.files}\nform ${form}\nbuilder ${builderVersion}\n`)
    .digest("hex");
}
