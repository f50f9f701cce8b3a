/**
 * Warns where libuv's pool is too small for the sessions of the C API: each keeps up to one of its threads busy, and files
 * and look-ups of names need some too. libuv reads UV_THREADPOOL_SIZE at its first use of the pool, so whoever starts the
 * process sets it.
 */
import type { Loader, RuntimeLog, Session } from "./session.ts";

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
      { sessions: open, poolThreads },
      `libuv's pool has ${poolThreads} threads for ${open} sessions: start the process with UV_THREADPOOL_SIZE=${wanted} or more`,
    );
  };
  return {
    ...loader,
    load: async (model, options) => {
      const session = await loader.load(model, options);
      open += 1;
      warn();
      return onRelease(session, () => (open -= 1));
    },
  };
}

function onRelease(session: Session, act: () => void): Session {
  let released: Promise<void> | null = null;
  return { ...session, release: () => (released ??= session.release().finally(act)) };
}
