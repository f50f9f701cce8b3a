/**
 * The computations a shard has in flight, each wanted by callers that wait and by tickets others come back with.
 * One computation serves all identical requests; it is found by its id and by its request key. Memory only.
 */
import type { JobId } from "#contract/job-id.ts";
import type { RunOutcome, RunRequest } from "./shard-protocol.ts";

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
  /** Text for the queue, null once it was sent. */
  message: string | null;
  readonly waiters: Map<string, Waiter>;
  /** Open tickets by id, each with what makes two of them show the same (`lookOf`). */
  readonly tickets: Map<JobId, string>;
};

export class WorkTable {
  readonly #byId = new Map<string, Work>();
  readonly #byKey = new Map<string, Work>();
  readonly #byWaiter = new Map<string, Work>();

  get size(): number {
    return this.#byId.size;
  }

  find(id: string): Work | undefined {
    return this.#byId.get(id);
  }

  /** @returns the computation that `request` may join */
  joinable(id: string, requestKey: string | null): Work | undefined {
    return this.#byId.get(id) ?? (requestKey === null ? undefined : this.#byKey.get(requestKey));
  }

  add(work: Work): void {
    this.#byId.set(work.id, work);
    if (work.requestKey !== null) this.#byKey.set(work.requestKey, work);
  }

  remove(work: Work): void {
    this.#byId.delete(work.id);
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
