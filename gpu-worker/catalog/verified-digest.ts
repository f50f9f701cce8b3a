/** Digests of a checkpoint's files, compared with what was downloaded: a disk may change them. */
import { rm } from "node:fs/promises";
import path from "node:path";
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import { type FilesDigest, digestFiles } from "../checkpoints/model-digest.ts";
import { readFetchRecord, recordFile } from "../downloads/model-cache.ts";
import type { KeptDigests } from "../files/kept-digests.ts";
import { PassingFailure } from "./model-failure.ts";

/**
 * @throws PassingFailure where the weights are not those of the download's record, which is taken away, so that the
 * next request fetches them again; the file system's error; the signal's reason
 */
export async function verifiedDigest(
  checkpoint: Checkpoint,
  digests: KeptDigests,
  signal: AbortSignal,
): Promise<FilesDigest> {
  const { folder, weightsFile } = checkpoint;
  const digest = await digestFiles(checkpoint, digests, signal);
  const record = await readFetchRecord(folder);
  const name = path.relative(folder, weightsFile);
  const fetched = record?.files.find((file) => file.path === name);
  if (fetched === undefined || fetched.sha256 === digest.weights) return digest;
  await rm(recordFile(folder), { force: true });
  throw new PassingFailure(
    "its fetched weights were damaged on the disk; the next request fetches them anew",
  );
}
