/**
 * Work that takes turns, in the order it was asked for, `width` at a time. Whoever is aborted while waiting leaves at
 * once and is never started; work under way looks at its signal itself, and keeps its place until it has ended. That is
 * why this is not p-queue, which gives the place away when the signal aborts: a native run goes on computing until it
 * notices, and a session released meanwhile would be freed under it. Nor can p-queue run something alone after all
 * before it.
 */

export type RunQueue = {
  /** Rejects with the signal's reason, or with what `work` threw: the next in line runs all the same. */
  run: <T>(work: () => Promise<T>, signal?: AbortSignal) => Promise<T>;
  /** Runs when all that was asked for before has ended, and alone. */
  runAlone: <T>(work: () => Promise<T>) => Promise<T>;
};

type Waiting = { start: () => void };

export function createRunQueue(width: number): RunQueue {
  let free = width;
  const line: Waiting[] = [];

  function release(): void {
    free += 1;
    line.shift()?.start();
  }

  function turn(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting: Waiting = {
      start: () => {
        free -= 1;
        signal?.removeEventListener("abort", leave);
        resolve();
      },
    };
    const leave = () => {
      line.splice(line.indexOf(waiting), 1);
      reject(signal?.reason);
    };
    if (free > 0) {
      waiting.start();
      return promise;
    }
    signal?.addEventListener("abort", leave, { once: true });
    line.push(waiting);
    return promise;
  }

  async function run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    await turn(signal);
    try {
      // It may have been aborted between its turn and this moment.
      signal?.throwIfAborted();
      return await work();
    } finally {
      release();
    }
  }

  return {
    run,
    runAlone: async (work) => {
      const turns = Array.from({ length: width }, () => turn());
      await Promise.all(turns);
      try {
        return await work();
      } finally {
        for (let i = 0; i < width; i++) release();
      }
    },
  };
}
