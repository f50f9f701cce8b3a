/**
 * Warns where libuv's pool is too small for the sessions of the C API: each run keeps one of its threads busy, and
 * files and look-ups of names need some too. libuv reads UV_THREADPOOL_SIZE at its first use of the pool, so whoever
 * starts the process sets it.
 */
import type { LoadedSession, Loader, RuntimeLog } from "./session.ts";

/** Of the pool, for everything that is no session. */
const threadsForOthers = 4;

export function watchPool(loader: Loader, poolThreads: number, log: RuntimeLog): Loader {
  let open = 0;
  let warnedAt = 0;
  const warn = (): void => {
    const wanted = open + threadsForOthers;
    if (wanted <= poolThreads || open <= warnedAt) return;
    warnedAt = open;
    log.warn(
      { runs: open, poolThreads },
      `libuv's pool has ${poolThreads} threads for ${open} runs at the same time: ` +
        `start the process with UV_THREADPOOL_SIZE=${wanted} or more`,
    );
  };
  return {
    ...loader,
    load: async (model, options) => {
      const session = await loader.load(model, options);
      open += session.concurrency;
      warn();
      return onRelease(session, () => (open -= session.concurrency));
    },
  };
}

function onRelease(session: LoadedSession, act: () => void): LoadedSession {
  let released: Promise<void> | null = null;
  return { ...session, release: () => (released ??= session.release().finally(act)) };
}
