/**
 * Tuned models on this machine, a folder each under `STATE/tuned`, named by the digest of its files: fetched from the
 * object store when first asked for, each file verified, and there whole or not at all. Bounded in bytes: the least
 * recently used make room, and those that nobody asked for in a day go.
 */
import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, readdir, rename, rm, stat, utimes } from "node:fs/promises";
import path from "node:path";
import pRetry from "p-retry";
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { ObjectLost, type ObjectReference } from "#contract/object-reference.ts";
import { tunedModelBounds, type TunedModelSource } from "#contract/training/tuned-model.ts";
import { readNote } from "../files/json-file.ts";
import { writeAtomically } from "../files/write-atomically.ts";
import type { FetchOptions } from "./fetch-model.ts";

/** The bytes of an object as they arrive. @throws ObjectLost where it is gone or another; whatever else may pass */
export type OpenObject = (
  reference: ObjectReference,
  signal: AbortSignal,
) => AsyncIterable<Uint8Array>;

export type TunedFoldersOptions = {
  stateFolder: string;
  /** Of all folders together. */
  bytesMax: number;
  /** Null: there is no object store here. */
  openObject: OpenObject | null;
  /** What else is kept here of a model that was loaded, by its digest as it is computed: its graphs. */
  derived: {
    bytesOf(modelDigest: string): Promise<number>;
    discardModel(modelDigest: string): Promise<void>;
  };
  /** Milliseconds before the second try of a file. */
  retryDelayMs: number;
  /** Milliseconds since the epoch. */
  now(): number;
};

const Record = z.object({
  formatVersion: z.literal(2),
  /** Under which it was fetched. */
  name: z.string(),
  bytes: z.int().nonnegative(),
  files: z.array(z.object({ path: z.string(), bytes: z.int().nonnegative() })),
  /** As it was computed here. */
  modelDigests: z.array(z.string()),
});
type Record = z.infer<typeof Record>;

const triesOfFile = 4;
/** Without a call for so long a model may have been deleted by its owner. */
const idleMs = 24 * 3_600_000;

function rootOf(stateFolder: string): string {
  return path.join(stateFolder, "tuned");
}

const recordName = /^([0-9a-f]{64})\.json$/;

/** Of the model that was fetched under this name; null: it is not here. */
export async function findTunedFolder(stateFolder: string, name: string): Promise<string | null> {
  const root = rootOf(stateFolder);
  for (const file of await readdir(root).catch(() => [])) {
    const digest = recordName.exec(file)?.[1];
    if (digest === undefined) continue;
    const record = await readNote(path.join(root, file), Record);
    if (record?.name === name) return path.join(root, digest);
  }
  return null;
}

type Kept = { digest: string; bytes: number; usedAt: number };

export class TunedFolders {
  readonly #options: TunedFoldersOptions;
  readonly #root: string;

  constructor(options: TunedFoldersOptions) {
    this.#options = options;
    this.#root = rootOf(options.stateFolder);
  }

  /** Its folder, where all files are here. */
  async present({ digest }: Pick<TunedModelSource, "digest">): Promise<string | null> {
    const folder = this.#folder(digest);
    const record = await readNote(this.#record(digest), Record);
    if (record === null) return null;
    const sizes = await Promise.all(
      record.files.map(async (file) => {
        const found = await stat(path.join(folder, file.path)).catch(() => null);
        return found?.size === file.bytes;
      }),
    );
    if (!sizes.every(Boolean)) return null;
    return folder;
  }

  /**
   * @param inUse whether a folder is one that must stay
   * @returns the folder with the model's files
   * @throws CodedError `model_not_servable` where they are gone, or others than its owner trained; `model_unavailable`
   * where they cannot be had now; the file system's error; the signal's reason
   */
  async fetch(
    source: TunedModelSource,
    inUse: (digest: string) => boolean,
    { signal, onProgress }: FetchOptions,
  ): Promise<string> {
    const { digest, files } = source;
    checkSource(source);
    const totalBytes = files.reduce((sum, { object }) => sum + object.bytes, 0);
    await this.sweep(inUse, totalBytes);
    const gathering = path.join(this.#root, `${digest}.${randomUUID()}.tmp`);
    try {
      let before = 0;
      for (const { path: name, object } of files) {
        const target = path.join(gathering, name);
        await mkdir(path.dirname(target), { recursive: true });
        await this.#fetchFile(source.name, { object, target, name }, signal);
        before += object.bytes;
        onProgress({ step: "Fetching the tuned model", bytes: before, totalBytes });
      }
      await this.#install(source, gathering, totalBytes);
    } finally {
      await rm(gathering, { recursive: true, force: true });
    }
    return this.#folder(digest);
  }

  /**
   * Deletes what is idle, and of the rest the least recently used where there is too much.
   * @param needed bytes to make room for
   */
  async sweep(inUse: (digest: string) => boolean, needed = 0): Promise<void> {
    const now = this.#options.now();
    const kept = (await this.#kept()).toSorted((a, b) => a.usedAt - b.usedAt);
    let bytes = kept.reduce((sum, each) => sum + each.bytes, needed);
    for (const each of kept) {
      const idle = now - each.usedAt > idleMs;
      if ((bytes <= this.#options.bytesMax && !idle) || inUse(each.digest)) continue;
      await this.#remove(each.digest);
      bytes -= each.bytes;
    }
  }

  /** It is asked for: see `sweep`. */
  async touch({ digest }: Pick<TunedModelSource, "digest">): Promise<void> {
    const time = new Date(this.#options.now());
    // It may not be here yet.
    await utimes(this.#record(digest), time, time).catch(() => undefined);
  }

  /** It was loaded, and has this digest as it is computed: what is kept of it counts, and goes, with its files. */
  async noteLoaded(
    { digest }: Pick<TunedModelSource, "digest">,
    modelDigest: string,
  ): Promise<void> {
    const record = await readNote(this.#record(digest), Record);
    if (record === null || record.modelDigests.includes(modelDigest)) return;
    const bytes = record.bytes + (await this.#options.derived.bytesOf(modelDigest));
    const modelDigests = [...record.modelDigests, modelDigest];
    await this.#writeRecord(digest, { ...record, bytes, modelDigests });
  }

  #folder(digest: string): string {
    return path.join(this.#root, digest);
  }

  /** Beside the folder: a model's own files may have any name. */
  #record(digest: string): string {
    return path.join(this.#root, `${digest}.json`);
  }

  async #kept(): Promise<Kept[]> {
    const names = await readdir(this.#root).catch(() => []);
    const now = this.#options.now();
    const found = names.map(async (name): Promise<Kept[]> => {
      const digest = recordName.exec(name)?.[1];
      if (digest === undefined) {
        await this.#removeLeftover(name, now);
        return [];
      }
      const record = await readNote(this.#record(digest), Record);
      const { mtimeMs } = await stat(this.#record(digest)).catch(() => ({ mtimeMs: 0 }));
      return [{ digest, bytes: record?.bytes ?? 0, usedAt: mtimeMs }];
    });
    return (await Promise.all(found)).flat();
  }

  /** Of a process that was killed. */
  async #removeLeftover(name: string, now: number): Promise<void> {
    if (!name.endsWith(".tmp")) return;
    const file = path.join(this.#root, name);
    const found = await stat(file).catch(() => null);
    if (found !== null && now - found.mtimeMs > idleMs) {
      await rm(file, { recursive: true, force: true });
    }
  }

  /** The record first: without it the folder is none. */
  async #remove(digest: string): Promise<void> {
    const record = await readNote(this.#record(digest), Record);
    await rm(this.#record(digest), { force: true });
    for (const each of record?.modelDigests ?? []) await this.#options.derived.discardModel(each);
    await rm(this.#folder(digest), { recursive: true, force: true });
  }

  async #install(source: TunedModelSource, gathering: string, bytes: number): Promise<void> {
    const { digest, name } = source;
    // What is there has no record, or files are missing: another process may be writing it too, and either will do.
    await rm(this.#folder(digest), { recursive: true, force: true });
    await rename(gathering, this.#folder(digest));
    const files = source.files.map((file) => ({ path: file.path, bytes: file.object.bytes }));
    await this.#writeRecord(digest, { formatVersion: 2, name, bytes, files, modelDigests: [] });
  }

  async #writeRecord(digest: string, record: Record): Promise<void> {
    await writeAtomically(this.#record(digest), JSON.stringify(record));
    await this.touch({ digest });
  }

  async #fetchFile(
    model: string,
    { object, target, name }: { object: ObjectReference; target: string; name: string },
    signal: AbortSignal,
  ): Promise<void> {
    const { openObject, retryDelayMs } = this.#options;
    if (openObject === null) throw unavailable(model, "this machine has no object store");
    try {
      await pRetry(() => writeStream(target, openObject(object, signal)), {
        retries: triesOfFile - 1,
        minTimeout: retryDelayMs,
        signal,
        shouldRetry: ({ error }) => !(error instanceof ObjectLost),
      });
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof ObjectLost) throw notServable(model, `its file ${name} ${error.words}`);
      // The disk's own errors are put into words by whoever asked.
      if (error instanceof Error && "syscall" in error && "path" in error) throw error;
      throw unavailable(model, `its file ${name} cannot be fetched now`, error);
    }
  }
}

async function writeStream(target: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  const file = await open(target, "w");
  try {
    for await (const chunk of bytes) await file.writeFile(chunk);
  } finally {
    await file.close();
  }
}

/** sha256 over the lines `<sha256 of the file>  <path>`, by path. */
export function digestOfFiles(files: TunedModelSource["files"]): string {
  const byPath = files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const lines = byPath.map(({ path: name, object }) => `${object.sha256}  ${name}\n`);
  return createHash("sha256").update(lines.join("")).digest("hex");
}

/** @throws CodedError where the list of files is none that a folder can be made of */
function checkSource({ name, digest, files }: TunedModelSource): void {
  const paths = files.map((file) => file.path.toLowerCase());
  const inner = paths.some((each) => paths.some((other) => other.startsWith(`${each}/`)));
  if (inner || new Set(paths).size < paths.length) {
    throw notServable(name, "two of its files are in each other's place");
  }
  const bytes = files.reduce((sum, { object }) => sum + object.bytes, 0);
  if (bytes > tunedModelBounds.bytesMax) {
    throw notServable(name, `its files have ${bytes} bytes, over ${tunedModelBounds.bytesMax}`);
  }
  if (digestOfFiles(files) !== digest) throw notServable(name, "its files are not its digest's");
}

function notServable(model: string, why: string): CodedError {
  const words = `The model ${model} cannot be served: ${why}. Train it again.`;
  return new CodedError("model_not_servable", words, { param: "model" });
}

function unavailable(model: string, why: string, cause?: unknown): CodedError {
  const words = `The model ${model} cannot be served: ${why}. Send the request again later.`;
  return new CodedError("model_unavailable", words, { param: "model", cause });
}
