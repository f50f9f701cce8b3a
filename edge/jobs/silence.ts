/**
 * When a computation counts as lost. A worker that holds a job names it every second, so a job that was named once and
 * is named no more has lost its worker, and its message too where no other worker names it. One never named waits in
 * the queue for as long as the queue keeps messages: a fleet may be starting from zero.
 */
import type { Computation } from "./computation-table.ts";

export type SilenceRules = {
  /** From the last time a worker named the job, or from when it was sent again. */
  silentMs: number;
  /** From when it was opened, where no worker has named it. */
  unnamedMs: number;
};

/** @returns ms since the epoch */
export function lostAt(computation: Computation, { silentMs, unnamedMs }: SilenceRules): number {
  return computation.quietSince + (computation.named || computation.resent ? silentMs : unnamedMs);
}

/** Nobody joins a computation that may be dead, nor one that a worker was told to give up. */
export function isJoinable(computation: Computation, rules: SilenceRules, now: number): boolean {
  if (computation.givenUp === "told" || (computation.resent && !computation.named)) return false;
  return now < lostAt(computation, rules);
}
