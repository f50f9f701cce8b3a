/**
 * Digests of large files, so that each is read once and not at every start: kept in `STATE/file-digests.json` by what the
 * file system says of a file. Whoever writes into a file changes its times, whoever replaces it its inode as well.
 */
import { stat, readFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import * as z from "zod";
import { sha256OfFile } from "./file-digest.ts";
import { writeAtomically } from "./write-atomically.ts";

/** By the file's identity, the one used last at the end. */
const KeptFile = z.record(z.string(), z.string().regex(/^[0-9a-f]{64}$/));
type Kept = Map<string, string>;

export type KeptDigests = {
  /** @throws the file system's error, or the signal's reason */
  sha256(file: string, signal: AbortSignal): Promise<string>;
};

/** Smaller ones are read in no time. */
const keptFromBytes = 1 << 20;
const entriesMax = 1_000;
/** Clocks of file systems tick every few milliseconds: what is written within the same tick as before shows no change. */
const tickMs = 20;

type Looked = { identity: string; bytes: bigint; changedAtMs: number };

async function look(file: string): Promise<Looked> {
  const { dev, ino, size, mtimeNs, ctimeNs, ctimeMs } = await stat(file, { bigint: true });
  const identity = [dev, ino, size, mtimeNs, ctimeNs].join("-");
  return { identity, bytes: size, changedAtMs: Number(ctimeMs) };
}

/** Waits until another change of the file could be seen. */
async function settle({ changedAtMs }: Looked, signal: AbortSignal): Promise<void> {
  const sinceMs = Date.now() - changedAtMs;
  if (sinceMs >= 0 && sinceMs < tickMs) await wait(tickMs - sinceMs, undefined, { signal });
}

async function readKept(file: string): Promise<Kept> {
  try {
    return new Map(Object.entries(KeptFile.parse(JSON.parse(await readFile(file, "utf8")))));
  } catch {
    // Nothing kept yet, or damaged: the files are read again.
    return new Map();
  }
}

export function openKeptDigests(stateFolder: string): KeptDigests {
  const keptFile = path.join(stateFolder, "file-digests.json");
  let writing: Promise<unknown> = Promise.resolve();

  /** With what other processes have kept meanwhile. */
  async function add(identity: string, digest: string): Promise<void> {
    const kept = await readKept(keptFile);
    kept.delete(identity);
    kept.set(identity, digest);
    const newest = [...kept].slice(-entriesMax);
    await writeAtomically(keptFile, `${JSON.stringify(Object.fromEntries(newest))}\n`);
  }

  function keep(identity: string, digest: string): Promise<void> {
    const added = writing.then(() => add(identity, digest));
    writing = added.catch(() => undefined);
    return added;
  }

  return {
    async sha256(file, signal) {
      const before = await look(file);
      if (before.bytes < keptFromBytes) return sha256OfFile(file, signal);
      const known = (await readKept(keptFile)).get(before.identity);
      if (known !== undefined) return known;
      await settle(before, signal);
      const digest = await sha256OfFile(file, signal);
      const after = await look(file);
      if (after.identity !== before.identity) return digest;
      // A state folder that nothing can be written to costs time, and no model.
      await keep(before.identity, digest).catch(() => undefined);
      return digest;
    },
  };
}
