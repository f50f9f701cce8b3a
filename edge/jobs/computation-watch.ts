/**
 * Keeps a shard's computations in sight: when a worker last named each, which are lost, and what a row must say so that
 * this object may be put away meanwhile. What becomes of a lost one is the board's.
 *
 * A worker names a computation that it holds every second, so one that was named once and is named no more has lost its
 * worker, and its message too where no other worker names it. One never named waits in the queue for as long as the
 * queue keeps messages: a fleet may be starting from zero.
 */
import type { PublicError } from "#contract/errors.ts";
import type { StoredComputation, ComputationRows } from "./computation-rows.ts";
import {
  isStreamed,
  newComputation,
  type Computation,
  type ComputationTable,
} from "./computation-table.ts";
import { EventLog } from "./event-log.ts";

/** How old what a row says of a worker's last word may be: a naming costs no write. */
const staleMs = 60_000;

export type WatchDependencies = {
  computationRows: ComputationRows;
  silence: SilenceRules;
  /** Hands a computation's message to the sender. */
  send: (computation: Computation, message: string, bytes: number) => void;
  /** `sweepAt` has come nearer. */
  onSweepSooner: () => void;
  now: () => number;
};

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

export class ComputationWatch {
  readonly #dependencies: WatchDependencies;
  readonly #computations: ComputationTable;
  #sweepAt: number | null = null;
  /** Named since their rows were written. */
  readonly #heard = new Set<Computation>();

  constructor(dependencies: WatchDependencies, computations: ComputationTable) {
    this.#dependencies = dependencies;
    this.#computations = computations;
  }

  /** When the first may be lost, ms since the epoch, or before; null: nothing is watched. */
  get sweepAt(): number | null {
    return this.#sweepAt;
  }

  restore(): void {
    for (const stored of this.#dependencies.computationRows.all()) this.#restoreComputation(stored);
  }

  /** From its first job on, a computation outlives this object. */
  keepRow(computation: Computation): void {
    if (computation.hasRow) return;
    this.#dependencies.computationRows.add(computation);
    computation.hasRow = true;
    computation.keptQuietSince = computation.quietSince;
    if (computation.sending === "sent") this.#computations.dropMessage(computation);
    this.#watch(computation);
  }

  /** A worker has named the computation: `keepHeard` writes that down, unless more is to be written before. */
  hear(computation: Computation): void {
    const first = !computation.named;
    computation.named = true;
    computation.quietSince = this.#dependencies.now();
    const isStale = computation.quietSince - computation.keptQuietSince >= staleMs;
    if (first || isStale) this.#heard.add(computation);
  }

  /** After all that a worker has said at once. What it ended has no row any more. */
  keepHeard(): void {
    for (const computation of this.#heard) {
      if (this.#computations.find(computation.id) === computation) this.note(computation);
    }
    this.#heard.clear();
  }

  /** Something that its row must know has changed. */
  note(computation: Computation): void {
    this.#heard.delete(computation);
    if (computation.hasRow) this.#dependencies.computationRows.keep(computation);
    computation.keptQuietSince = computation.quietSince;
    this.#watch(computation);
  }

  /** Somebody reads it as it goes on. */
  keepStream(computation: Computation): void {
    this.#watch(computation);
  }

  markSent(computation: Computation): void {
    computation.sending = "sent";
    this.#computations.keepMessage(computation);
    if (computation.hasRow) this.#dependencies.computationRows.markSent(computation.id);
  }

  /** @returns whether its message could be sent once more: that is done once, and where the message was kept */
  sendAgain(computation: Computation): boolean {
    const { computationRows, now } = this.#dependencies;
    const message = computation.message ?? computationRows.messageOf(computation.id);
    if (message === null || computation.resent) return false;
    Object.assign(computation, {
      resent: true,
      named: false,
      sending: "unsent",
      quietSince: now(),
    });
    this.note(computation);
    this.#send(computation, message);
    return true;
  }

  /** Takes those that are lost now. */
  lost(): Computation[] {
    const { now, silence } = this.#dependencies;
    const at = now();
    return [...this.#computations.all()].filter(
      (computation) => lostAt(computation, silence) <= at,
    );
  }

  /** Looks through all computations for when to sweep next. */
  rearm(): void {
    const times = [...this.#computations.all()]
      .filter(isWatched)
      .map((computation) => lostAt(computation, this.#dependencies.silence));
    this.#sweepAt = times.length === 0 ? null : Math.min(...times);
  }

  #watch(computation: Computation): void {
    if (!isWatched(computation)) return;
    const at = lostAt(computation, this.#dependencies.silence);
    if (this.#sweepAt !== null && this.#sweepAt <= at) return;
    this.#sweepAt = at;
    this.#dependencies.onSweepSooner();
  }

  #send(computation: Computation, message: string): void {
    this.#dependencies.send(computation, message, new TextEncoder().encode(message).byteLength);
  }

  #restoreComputation(stored: StoredComputation): void {
    const { id, tenant, requestKey, status, sequence, named, resent, quietSince } = stored;
    const message = stored.sent ? null : this.#dependencies.computationRows.messageOf(id);
    const opened = { id, tenant, requestKey, message, quietSince };
    const computation = newComputation(opened, new EventLog(true));
    Object.assign(computation, { status, sequence, named, resent });
    Object.assign(computation, { hasRow: true, keptQuietSince: quietSince });
    computation.sending = stored.sent ? "sent" : "unsent";
    // Whether a worker has heard of it is not known any more.
    computation.givenUp = stored.givenUp ? "told" : null;
    this.#computations.add(computation);
    this.#watch(computation);
    if (message !== null && !stored.givenUp) this.#send(computation, message);
  }
}

/** Those that only calls wait for are not: their calls end, or become jobs, before. A stream has no such window. */
function isWatched(computation: Computation): boolean {
  return computation.hasRow || computation.givenUp !== null || isStreamed(computation);
}

/** What those are told who wait for one that is lost. */
export function lostError(computation: Computation): PublicError {
  const message =
    computation.named || computation.resent
      ? "Every worker that took this job was lost before it could answer."
      : "No worker took this job in a day.";
  return { code: "worker_lost", message, param: null };
}
