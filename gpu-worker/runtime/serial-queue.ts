/**
 * Work that takes turns, in the order it was asked for. Whoever is aborted while waiting leaves at once and is never
 * started; work under way looks at its signal itself.
 */
import { orAborted } from "./or-aborted.ts";

export type SerialQueue = {
  /** Rejects with the signal's reason, or with what `work` threw: the next in line runs all the same. */
  run: <T>(work: () => Promise<T>, signal?: AbortSignal) => Promise<T>;
};

export function createSerialQueue(): SerialQueue {
  let tail: Promise<void> = Promise.resolve();
  return {
    run: async (work, signal) => {
      signal?.throwIfAborted();
      const before = tail;
      const ended = Promise.withResolvers<void>();
      tail = ended.promise;
      try {
        await orAborted(before, signal);
        signal?.throwIfAborted();
        return await work();
      } finally {
        // Whoever left early still stands behind those before him.
        void before.then(ended.resolve);
      }
    },
  };
}
