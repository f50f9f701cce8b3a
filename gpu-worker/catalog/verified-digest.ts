/** Digests of a checkpoint's files, compared with what was downloaded: a disk may change them. */
import { rm } from "node:fs/promises";
import path from "node:path";
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import type { DecoderCheckpoint } from "../checkpoints/decoder-checkpoint.ts";
import { type FilesDigest, digestFiles } from "../checkpoints/model-digest.ts";
import { readFetchRecord, recordFile } from "../downloads/model-cache.ts";
import type { KeptDigests } from "../files/kept-digests.ts";
import { PassingFailure } from "./model-failure.ts";

/**
 * @throws PassingFailure where the weights are not those of the download's record, which is taken away, so that the
 * next request fetches them again; the file system's error; the signal's reason
 */
export async function verifiedDigest(
  checkpoint: Checkpoint | DecoderCheckpoint,
  digests: KeptDigests,
  signal: AbortSignal,
): Promise<FilesDigest> {
  const { folder } = checkpoint;
  const digest = await digestFiles(checkpoint, digests, signal);
  const record = await readFetchRecord(folder);
  const weightsFiles =
    checkpoint.kind === "decoder" ? checkpoint.weightsFiles : [checkpoint.weightsFile];
  for (const file of weightsFiles) {
    const name = path.relative(folder, file);
    const fetched = record?.files.find((each) => each.path === name);
    if (fetched === undefined || fetched.sha256 === (await digests.sha256(file, signal))) continue;
    await rm(recordFile(folder), { force: true });
    throw new PassingFailure(
      "its fetched weights were damaged on the disk; the next request fetches them anew",
    );
  }
  return digest;
}
