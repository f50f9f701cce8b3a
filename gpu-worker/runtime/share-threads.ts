/**
 * How the threads of a CPU are used best: several runs side by side, each helped by workers that all sessions share. On
 * two cores, two runs of one thread gave 8 % more texts a second than one run of two, and at half the batch size, where
 * texts are padded less.
 */

export type ThreadShare = {
  /** Runs of all sessions side by side, each on a thread of its own. */
  readonly concurrency: number;
  /** Threads of the pool that helps them. With the runs' own they are as many as there are to use, and never more. */
  readonly workers: number;
};

/** More runs side by side gain nothing, and each would find fewer texts to choose its batch from. */
const concurrencyMax = 4;

/** @param threads 1 or more */
export function shareThreads(threads: number): ThreadShare {
  const concurrency = Math.min(threads, concurrencyMax);
  return { concurrency, workers: threads - concurrency };
}
