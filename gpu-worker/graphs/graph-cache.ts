/**
 * Compiled graphs on disk: a folder `STATE/graphs/<key>` each, with a note of its files and their digests that is
 * written last. A graph whose bytes are not those that were written, whatever happened to them, counts as absent and is
 * built again. Two processes may build the same: the first to finish wins.
 */
import { randomUUID } from "node:crypto";
import { mkdir, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import * as z from "zod";
import { keyPrefix } from "./graph-key.ts";
import { readNote } from "../files/json-file.ts";
import type { KeptDigests } from "../files/kept-digests.ts";

const noteName = "files.json";
const modelName = "model.onnx";

const Note = z.array(z.object({ path: z.string(), sha256: z.string() }));

/** Writes the graph to `file` and what belongs to it beside it. */
export type BuildGraph = (file: string, signal: AbortSignal) => Promise<unknown>;

export type CachedGraph = { file: string; built: boolean };

export type GraphCache = {
  /** The graph kept under `key`, built first where it is not here. */
  get(key: string, build: BuildGraph, signal: AbortSignal): Promise<CachedGraph>;
  /** Forgets a graph that turned out to be of no use. */
  discard(key: string): Promise<void>;
  /** Of all graphs of a model, in every form it was built in. @param digest as the model has it in that form */
  bytesOf(digest: string): Promise<number>;
  discardModel(digest: string): Promise<void>;
  /** Takes away what processes that were killed while they built have left. */
  sweep(nowMs: number): Promise<void>;
};

const unfinished = ".tmp";
/** No build takes this long. */
const abandonedAfterMs = 3_600_000;

type Look = { digests: KeptDigests; signal: AbortSignal };

async function isWhole(folder: string, { digests, signal }: Look): Promise<boolean> {
  const note = await readNote(path.join(folder, noteName), Note);
  if (note === null) return false;
  try {
    for (const { path: name, sha256 } of note) {
      if ((await digests.sha256(path.join(folder, name), signal)) !== sha256) return false;
    }
    return note.length > 0;
  } catch {
    // Files are missing or cannot be read: the answer is to build.
    signal.throwIfAborted();
    return false;
  }
}

async function install(building: string, folder: string, look: Look): Promise<void> {
  const { digests, signal } = look;
  const names = (await readdir(building)).toSorted();
  const note: z.infer<typeof Note> = [];
  for (const name of names) {
    note.push({ path: name, sha256: await digests.sha256(path.join(building, name), signal) });
  }
  await writeFile(path.join(building, noteName), JSON.stringify(note));
  try {
    await rename(building, folder);
  } catch {
    // Something is there. If another process has built the same meanwhile, it may be loading it: it stays.
    if (await isWhole(folder, look)) return;
    await rm(folder, { recursive: true, force: true });
    await rename(building, folder);
  }
}

export function openGraphCache(stateFolder: string, digests: KeptDigests): GraphCache {
  const folderOf = (key: string) => path.join(stateFolder, "graphs", key);
  return {
    async get(key, build, signal) {
      const folder = folderOf(key);
      const file = path.join(folder, modelName);
      const look = { digests, signal };
      if (await isWhole(folder, look)) return { file, built: false };
      const building = `${folder}.${randomUUID()}${unfinished}`;
      await mkdir(building, { recursive: true });
      try {
        await build(path.join(building, modelName), signal);
        await install(building, folder, look);
      } finally {
        await rm(building, { recursive: true, force: true });
      }
      return { file, built: true };
    },
    async sweep(nowMs) {
      const graphs = path.join(stateFolder, "graphs");
      const names = await readdir(graphs).catch(() => []);
      for (const name of names.filter((each) => each.endsWith(unfinished))) {
        const folder = path.join(graphs, name);
        const found = await stat(folder).catch(() => null);
        if (found === null || nowMs - found.mtimeMs < abandonedAfterMs) continue;
        await rm(folder, { recursive: true, force: true });
      }
    },
    async discard(key) {
      await rm(folderOf(key), { recursive: true, force: true });
    },
    async bytesOf(digest) {
      const folders = await foldersOf(stateFolder, digest);
      const sizes = folders.map(async (folder) => {
        const names = await readdir(folder).catch(() => []);
        const files = names.map((name) => stat(path.join(folder, name)).catch(() => ({ size: 0 })));
        return (await Promise.all(files)).reduce((sum, { size }) => sum + size, 0);
      });
      return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
    },
    async discardModel(digest) {
      for (const folder of await foldersOf(stateFolder, digest)) {
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
}

/** By how graph-key.ts begins their names. */
async function foldersOf(stateFolder: string, digest: string): Promise<string[]> {
  const graphs = path.join(stateFolder, "graphs");
  const names = await readdir(graphs).catch(() => []);
  const own = names.filter((name) => name.startsWith(keyPrefix(digest)));
  return own.map((name) => path.join(graphs, name));
}
