/**
 * Digests of large files, so that each is read once and not at every start: kept in `STATE/file-digests.json` by what
 * the file system says of a file. Whoever writes into a file changes its times, whoever replaces it its inode as well.
 */
import { stat } from "node:fs/promises";
import path from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { Sha256, sha256OfFile } from "./file-digest.ts";
import { JsonStore } from "./json-store.ts";

export type KeptDigests = {
  /** @throws the file system's error, or the signal's reason */
  sha256(file: string, signal: AbortSignal): Promise<string>;
};

/** Smaller ones are read in no time. */
const keptFromBytes = 1 << 20;
const entriesMax = 1_000;
/**
 * Clocks of file systems tick every few milliseconds: what is written within the same tick as before shows no change.
 */
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

export function openKeptDigests(stateFolder: string): KeptDigests {
  const kept = new JsonStore(path.join(stateFolder, "file-digests.json"), Sha256, entriesMax);
  return {
    async sha256(file, signal) {
      const before = await look(file);
      if (before.bytes < keptFromBytes) return sha256OfFile(file, signal);
      const known = await kept.find(before.identity);
      if (known !== null) return known;
      await settle(before, signal);
      const digest = await sha256OfFile(file, signal);
      const after = await look(file);
      if (after.identity !== before.identity) return digest;
      // A state folder that nothing can be written to costs time, and no model.
      await kept.keep(before.identity, digest).catch(() => undefined);
      return digest;
    },
  };
}
