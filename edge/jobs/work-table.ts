/**
 * The computations a shard has in flight, each wanted by callers that wait and by tickets others come back with.
 * One computation serves all identical requests; it is found by its id and by its request key. Memory only.
 */
import type { JobId } from "#contract/job-id.ts";
import type { JobProgress, RunOutcome, RunRequest } from "./shard-protocol.ts";

/** What of a request outlives its arrival. */
export type Claim = Pick<RunRequest, "job" | "webhook">;

export type Waiter = {
  claim: Claim;
  /** Of the job kept for this caller from the start. */
  ticketId: JobId | null;
  graceMilliseconds: number;
  resolve: (outcome: RunOutcome) => void;
  timer: ReturnType<typeof setTimeout>;
};

export type Work = {
  /** Id of the queue message, and of the quota's reservation. */
  readonly id: JobId;
  readonly tenant: string;
  readonly requestKey: string | null;
  status: "starting" | "processing";
  /** Of the last event that counted. */
  sequence: number;
  /** As its worker last said. */
  progress: JobProgress | null;
  /** Text for the queue, kept until the end where there is room; null: its row keeps it, or nobody does. */
  message: string | null;
  /** Underway: the queue may have it. */
  sending: "unsent" | "underway" | "sent";
  /** A worker has named it since it was last sent. */
  named: boolean;
  /** It fell silent, and its message was sent a second time. */
  resent: boolean;
  /** When it was opened, last named or sent again, ms since the epoch. */
  quietSince: number;
  /** Nobody wants it any more, and the worker's word on what it took is awaited; told: a worker gives it up. */
  givenUp: "untold" | "told" | null;
  readonly waiters: Map<string, Waiter>;
  /** Open tickets by id, each with what makes two of them show the same (`lookOf`). */
  readonly tickets: Map<JobId, string>;
  /** It has a row in work-rows.ts. */
  hasRow: boolean;
  /** `quietSince` as its row has it. */
  keptQuietSince: number;
};

/** Characters of messages that a shard keeps in memory for calls that wait: a second send of theirs is rare. */
const keptCharactersMax = 300_000;

export class WorkTable {
  readonly #byId = new Map<string, Work>();
  readonly #byKey = new Map<string, Work>();
  readonly #byWaiter = new Map<string, Work>();
  /** Whose messages are kept here although they were sent. */
  readonly #kept = new Set<Work>();
  #keptCharacters = 0;

  all(): Iterable<Work> {
    return this.#byId.values();
  }

  find(id: string): Work | undefined {
    return this.#byId.get(id);
  }

  /** @returns computations of the same request: by the id, then by the key */
  alike(id: string, requestKey: string | null): Work[] {
    const found = [
      this.#byId.get(id),
      requestKey === null ? undefined : this.#byKey.get(requestKey),
    ];
    return found.filter((work) => work !== undefined);
  }

  /** Its message has been sent: kept here only where no row keeps it and there is room. */
  keepMessage(work: Work): void {
    const characters = work.message?.length ?? 0;
    const room = this.#keptCharacters + characters <= keptCharactersMax;
    if (work.hasRow || !room) return this.dropMessage(work);
    this.#kept.add(work);
    this.#keptCharacters += characters;
  }

  dropMessage(work: Work): void {
    if (this.#kept.delete(work)) this.#keptCharacters -= work.message?.length ?? 0;
    work.message = null;
  }

  add(work: Work): void {
    this.#byId.set(work.id, work);
    if (work.requestKey !== null) this.#byKey.set(work.requestKey, work);
  }

  remove(work: Work): void {
    this.#byId.delete(work.id);
    this.dropMessage(work);
    if (work.requestKey !== null && this.#byKey.get(work.requestKey) === work) {
      this.#byKey.delete(work.requestKey);
    }
    for (const waiter of work.waiters.keys()) this.#byWaiter.delete(waiter);
  }

  addWaiter(work: Work, name: string, waiter: Waiter): void {
    work.waiters.set(name, waiter);
    this.#byWaiter.set(name, work);
  }

  /** Takes a waiter out and stops its clock. */
  takeWaiter(name: string): { work: Work; waiter: Waiter } | undefined {
    const work = this.#byWaiter.get(name);
    const waiter = work?.waiters.get(name);
    if (work === undefined || waiter === undefined) return undefined;
    this.#byWaiter.delete(name);
    work.waiters.delete(name);
    clearTimeout(waiter.timer);
    return { work, waiter };
  }
}

export function isWanted(work: Work): boolean {
  return work.waiters.size > 0 || work.tickets.size > 0;
}

type NewWork = Pick<Work, "id" | "tenant" | "requestKey" | "message" | "quietSince">;

/** Opened, and not sent yet. */
export function newWork(opened: NewWork): Work {
  return {
    ...opened,
    status: "starting",
    sequence: 0,
    progress: null,
    sending: "unsent",
    named: false,
    resent: false,
    givenUp: null,
    waiters: new Map(),
    tickets: new Map(),
    hasRow: false,
    keptQuietSince: opened.quietSince,
  };
}
