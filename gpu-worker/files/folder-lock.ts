/**
 * One process at a time in a folder, across processes and across their sudden death: the lock is a folder beside it
 * whose age its holder keeps fresh, so that a killed holder's lock lapses after some seconds.
 */
import { setTimeout as delay } from "node:timers/promises";
import { lock } from "proper-lockfile";

const staleMs = 10_000;
const pollMs = 250;

export type LockOptions = {
  signal: AbortSignal;
  /** Called once if another process holds the lock. */
  onWait: () => void;
};

function isHeld(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ELOCKED";
}

async function acquire(folder: string, { signal, onWait }: LockOptions) {
  const lost = new AbortController();
  for (let tries = 0; ; tries += 1) {
    try {
      const release = await lock(folder, {
        stale: staleMs,
        realpath: false,
        onCompromised: (error) => lost.abort(error),
      });
      return { release, lost: lost.signal };
    } catch (error) {
      if (!isHeld(error)) throw error;
    }
    if (tries === 0) onWait();
    await delay(pollMs, undefined, { signal });
  }
}

/** Runs `work` while the lock is held. Its signal also aborts if the lock is lost (a machine that slept, say). */
export async function withFolderLock<T>(
  folder: string,
  options: LockOptions,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { release, lost } = await acquire(folder, options);
  try {
    return await work(AbortSignal.any([options.signal, lost]));
  } finally {
    // A lost lock cannot be released: whoever took it over holds it now.
    if (!lost.aborted) await release();
  }
}
