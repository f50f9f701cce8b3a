/**
 * Keeps a shard's computations in sight: when a worker last named each, which are lost, and what a row must say so that
 * this object may be put away meanwhile. What becomes of a lost one is the board's.
 */
import { lostAt, type SilenceRules } from "./silence.ts";
import type { StoredWork, WorkRows } from "./work-rows.ts";
import { newWork, type Work, type WorkTable } from "./work-table.ts";

/** How old what a row says of a worker's last word may be: a naming costs no write. */
const staleMs = 60_000;

export type WatchSurroundings = {
  workRows: WorkRows;
  silence: SilenceRules;
  /** Hands a work's message to the sender. */
  send: (work: Work, message: string, bytes: number) => void;
  /** `sweepAt` has come nearer. */
  onSweepSooner: () => void;
  now: () => number;
};

export class WorkWatch {
  readonly #surroundings: WatchSurroundings;
  readonly #works: WorkTable;
  #sweepAt: number | null = null;

  constructor(surroundings: WatchSurroundings, works: WorkTable) {
    this.#surroundings = surroundings;
    this.#works = works;
  }

  /** When the first may be lost, ms since the epoch, or before; null: nothing is watched. */
  get sweepAt(): number | null {
    return this.#sweepAt;
  }

  restore(): void {
    for (const stored of this.#surroundings.workRows.all()) this.#restoreWork(stored);
  }

  /** From its first ticket on, a work outlives this object. */
  keepRow(work: Work): void {
    if (work.hasRow) return;
    this.#surroundings.workRows.add(work);
    work.hasRow = true;
    work.keptQuietSince = work.quietSince;
    if (work.sending === "sent") this.#works.dropMessage(work);
    this.#watch(work);
  }

  /** A worker has named the work. */
  hear(work: Work): void {
    const first = !work.named;
    work.named = true;
    work.quietSince = this.#surroundings.now();
    if (first || work.quietSince - work.keptQuietSince >= staleMs) this.note(work);
  }

  /** Something that its row must know has changed. */
  note(work: Work): void {
    if (work.hasRow) this.#surroundings.workRows.keep(work);
    work.keptQuietSince = work.quietSince;
    this.#watch(work);
  }

  markSent(work: Work): void {
    work.sending = "sent";
    this.#works.keepMessage(work);
    if (work.hasRow) this.#surroundings.workRows.markSent(work.id);
  }

  /** @returns whether its message could be sent once more: that is done once, and where the message was kept */
  sendAgain(work: Work): boolean {
    const { workRows, now } = this.#surroundings;
    const message = work.message ?? workRows.messageOf(work.id);
    if (message === null || work.resent) return false;
    Object.assign(work, { resent: true, named: false, sending: "unsent", quietSince: now() });
    this.note(work);
    this.#send(work, message);
    return true;
  }

  /** Takes those that are lost now. */
  lost(): Work[] {
    const { now, silence } = this.#surroundings;
    const at = now();
    return [...this.#works.all()].filter((work) => lostAt(work, silence) <= at);
  }

  /** Looks through all works for when to sweep next. */
  rearm(): void {
    const times = [...this.#works.all()]
      .filter(isWatched)
      .map((work) => lostAt(work, this.#surroundings.silence));
    this.#sweepAt = times.length === 0 ? null : Math.min(...times);
  }

  #watch(work: Work): void {
    if (!isWatched(work)) return;
    const at = lostAt(work, this.#surroundings.silence);
    if (this.#sweepAt !== null && this.#sweepAt <= at) return;
    this.#sweepAt = at;
    this.#surroundings.onSweepSooner();
  }

  #send(work: Work, message: string): void {
    this.#surroundings.send(work, message, new TextEncoder().encode(message).byteLength);
  }

  #restoreWork(stored: StoredWork): void {
    const { id, tenant, requestKey, named, resent, quietSince } = stored;
    const message = stored.sent ? null : this.#surroundings.workRows.messageOf(id);
    const work = newWork({ id, tenant, requestKey, message, quietSince });
    Object.assign(work, { named, resent, hasRow: true, keptQuietSince: quietSince });
    work.sending = stored.sent ? "sent" : "unsent";
    // Whether a worker has heard of it is not known any more.
    work.givenUp = stored.givenUp ? "told" : null;
    this.#works.add(work);
    this.#watch(work);
    if (message !== null && !stored.givenUp) this.#send(work, message);
  }
}

/** Those that only calls wait for are not: their calls end, or become tickets, before. */
function isWatched(work: Work): boolean {
  return work.hasRow || work.givenUp !== null;
}
