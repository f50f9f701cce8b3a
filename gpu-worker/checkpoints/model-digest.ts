/**
 * The identity of what a model answers: its weights, every file that shapes its answers, and the form it is computed
 * in. Two workers with the same digest give the same vectors, so the edge may hand one's result out for the other's.
 */
import { createHash } from "node:crypto";
import path from "node:path";
import type { KeptDigests } from "../files/kept-digests.ts";
import { type Checkpoint, identityFiles, type WeightsFormat } from "./checkpoint.ts";
import { onnxDataNames } from "./onnx-file.ts";

export type FilesDigest = {
  format: WeightsFormat;
  /** sha256 of the weights file. */
  weights: string;
  /** sha256 over the weights' and all other identity files' names and digests. */
  files: string;
};

/** @throws the file system's error, or the signal's reason */
export async function digestFiles(
  { folder, format, weightsFile, sentence, stageFiles }: Checkpoint,
  digests: KeptDigests,
  signal: AbortSignal,
): Promise<FilesDigest> {
  const weights = await digests.sha256(weightsFile, signal);
  const hash = createHash("sha256").update(`weights ${weights}\n`);
  const data = format === "onnx" ? onnxDataNames(path.relative(folder, weightsFile)) : [];
  for (const name of new Set([...identityFiles, ...stageFiles, ...data])) {
    const digest = await digests.sha256(path.join(folder, name), signal).catch(() => null);
    signal.throwIfAborted();
    if (digest !== null) hash.update(`${name} ${digest}\n`);
  }
  // They may be the catalogue's, which is none of the files.
  const prompts = Object.entries(sentence?.prompts ?? {});
  if (prompts.length > 0) hash.update(`prompts ${JSON.stringify(prompts)}\n`);
  return { format, weights, files: hash.digest("hex") };
}

/** @returns lower-case hex */
export function modelDigest(files: FilesDigest, form: string, builderVersion: number): string {
  return createHash("sha256")
    .update(`${files.files}\nform ${form}\nbuilder ${builderVersion}\n`)
    .digest("hex");
}
