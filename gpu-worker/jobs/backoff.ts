/** Waiting between tries: doubling with full jitter, so that many workers do not return in step. */
import { setTimeout as wait } from "node:timers/promises";

export type Backoff = {
  firstMs: number;
  maxMs: number;
  /** 0…1, uniform. */
  random(): number;
};

/** @param attempt 0 for the first failure */
export function backoffMs(backoff: Backoff, attempt: number): number {
  const ceiling = Math.min(backoff.maxMs, backoff.firstMs * 2 ** Math.min(attempt, 30));
  return ceiling * (0.5 + backoff.random() / 2);
}

/** Resolves early, without an error, when the signal aborts. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await wait(milliseconds, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
