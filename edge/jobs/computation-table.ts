/**
 * The computations a shard has in flight, each wanted by callers that wait and by jobs that others come back for.
 * One computation serves all identical requests; it is found by its id and by its request key. Memory only.
 */
import type { JobId } from "#contract/job-id.ts";
import type { JobProgress } from "../answers/job.ts";
import { EventLog } from "./event-log.ts";
import type { RunOutcome, RunRequest } from "./shard-protocol.ts";

/** What of a request outlives its arrival. */
export type Claim = Pick<RunRequest, "job" | "webhook">;

/** Somebody who wants a computation while it runs. */
export type Waiter = {
  graceMilliseconds: number;
  /** The job that was kept for it, or that it reads; null: none is. */
  jobId: JobId | null;
  /** The job ends when it leaves. */
  isOwner: boolean;
  /** A call that wants the end; null: a stream, which reads all of it in the log. */
  call: {
    claim: Claim;
    resolve: (outcome: RunOutcome) => void;
    timer: ReturnType<typeof setTimeout>;
  } | null;
};

export type Computation = {
  /** Id of the queue message, and of the quota's reservation. */
  readonly id: JobId;
  readonly tenant: string;
  readonly requestKey: string | null;
  /** Milliseconds since the epoch. */
  readonly openedAt: number;
  /** What happened to it, for whoever reads that. */
  log: EventLog;
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
  /** Open jobs by id, each with what makes two of them show the same (`lookOf`). */
  readonly jobs: Map<JobId, string>;
  /** It has a row in computation-rows.ts. */
  hasRow: boolean;
  /** `quietSince` as its row has it. */
  keptQuietSince: number;
};

/** Characters of messages that a shard keeps in memory for calls that wait: a second send of theirs is rare. */
const keptCharactersMax = 300_000;

export class ComputationTable {
  readonly #byId = new Map<string, Computation>();
  readonly #byKey = new Map<string, Computation>();
  readonly #byWaiter = new Map<string, Computation>();
  /** Whose messages are kept here although they were sent. */
  readonly #kept = new Set<Computation>();
  #keptCharacters = 0;

  all(): Iterable<Computation> {
    return this.#byId.values();
  }

  find(id: string): Computation | undefined {
    return this.#byId.get(id);
  }

  /** @returns computations of the same request: by the id, then by the key */
  alike(id: string, requestKey: string | null): Computation[] {
    const found = [
      this.#byId.get(id),
      requestKey === null ? undefined : this.#byKey.get(requestKey),
    ];
    return found.filter((computation) => computation !== undefined);
  }

  /** Its message has been sent: kept here only where no row keeps it and there is room. */
  keepMessage(computation: Computation): void {
    const characters = computation.message?.length ?? 0;
    const room = this.#keptCharacters + characters <= keptCharactersMax;
    if (computation.hasRow || !room) return this.dropMessage(computation);
    this.#kept.add(computation);
    this.#keptCharacters += characters;
  }

  dropMessage(computation: Computation): void {
    if (this.#kept.delete(computation)) this.#keptCharacters -= computation.message?.length ?? 0;
    computation.message = null;
  }

  add(computation: Computation): void {
    this.#byId.set(computation.id, computation);
    if (computation.requestKey !== null) this.#byKey.set(computation.requestKey, computation);
  }

  remove(computation: Computation): void {
    this.#byId.delete(computation.id);
    this.dropMessage(computation);
    if (
      computation.requestKey !== null &&
      this.#byKey.get(computation.requestKey) === computation
    ) {
      this.#byKey.delete(computation.requestKey);
    }
    for (const waiter of computation.waiters.keys()) this.#byWaiter.delete(waiter);
  }

  addWaiter(computation: Computation, name: string, waiter: Waiter): void {
    computation.waiters.set(name, waiter);
    this.#byWaiter.set(name, computation);
  }

  /** Those who read a job that was cancelled want nothing any more. */
  dropReaders({ waiters }: Computation, jobId: JobId): void {
    for (const [name, waiter] of waiters) {
      if (waiter.call === null && waiter.jobId === jobId) this.takeWaiter(name);
    }
  }

  /** Takes a waiter out and stops its clock. */
  takeWaiter(name: string): { computation: Computation; waiter: Waiter } | undefined {
    const computation = this.#byWaiter.get(name);
    const waiter = computation?.waiters.get(name);
    if (computation === undefined || waiter === undefined) return undefined;
    this.#byWaiter.delete(name);
    computation.waiters.delete(name);
    if (waiter.call !== null) clearTimeout(waiter.call.timer);
    return { computation, waiter };
  }
}

export function isWanted(computation: Computation): boolean {
  return computation.waiters.size > 0 || computation.jobs.size > 0;
}

export function isStreamed({ waiters }: Computation): boolean {
  return [...waiters.values()].some(({ call }) => call === null);
}

type NewComputation = Pick<Computation, "id" | "tenant" | "requestKey" | "message" | "quietSince">;

/** Opened, and not sent yet. @param log one that another object began, where that is so */
export function newComputation(opened: NewComputation, log = new EventLog()): Computation {
  return {
    ...opened,
    openedAt: opened.quietSince,
    log,
    status: "starting",
    sequence: 0,
    progress: null,
    sending: "unsent",
    named: false,
    resent: false,
    givenUp: null,
    waiters: new Map(),
    jobs: new Map(),
    hasRow: false,
    keptQuietSince: opened.quietSince,
  };
}
