/**
 * Digests of files on disk, read as a stream so that a large one needs no memory of its size. Lower-case hex
 * throughout. The git form is what a hub gives for a small file kept in its repository rather than in large-file
 * storage.
 */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import * as z from "zod";

/** As `sha256OfFile` gives it. */
export const Sha256 = z.string().regex(/^[0-9a-f]{64}$/, "must be a sha256 in lower-case hex");

/** A quarter of a millisecond or two of the event loop each. */
const chunkBytes = 1 << 18;

async function feed(hash: Hash, file: string, signal?: AbortSignal): Promise<string> {
  const stream = createReadStream(file, { highWaterMark: chunkBytes, signal: signal ?? undefined });
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest("hex");
}

/** @throws the file system's error, or the signal's reason */
export function sha256OfFile(file: string, signal?: AbortSignal): Promise<string> {
  return feed(createHash("sha256"), file, signal);
}

/** The object id git gives the file's content: sha1 over `blob <bytes>\0<content>`. */
export async function gitBlobOfFile(file: string, signal?: AbortSignal): Promise<string> {
  const { size } = await stat(file);
  return feed(createHash("sha1").update(`blob ${size}\0`), file, signal);
}

/** A file with its folders, as slash-separated paths below `folder`, hashed into `{path, sha256, bytes}`. */
export async function describeFile(folder: string, path: string, signal?: AbortSignal) {
  const file = `${folder}/${path}`;
  const [sha256, { size }] = await Promise.all([sha256OfFile(file, signal), stat(file)]);
  return { path, sha256, bytes: size };
}
