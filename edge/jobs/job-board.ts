/**
 * What a shard decides: which computation a request joins, who waits for it, who may come back for it, what an event
 * changes, and when nobody wants a computation any more. Plain memory for callers that wait; rows only for tickets.
 * It sends no message, makes no call and owns no clock: those come as arguments, and the Durable Object is job-shard.ts.
 */
import type { PublicError } from "#contract/errors.ts";
import { formatJobId, type JobId, shardOfJobId } from "#contract/job-id.ts";
import type { Webhook, WebhookEvent } from "../webhooks/webhook.ts";
import { RecentIds } from "./recent-ids.ts";
import type {
  JobHead,
  ReceiveRequest,
  ReceiveResponse,
  RunOutcome,
  RunRequest,
  ShardEvent,
  StoredResult,
  Ticket,
} from "./shard-protocol.ts";
import type { Outcome, StoredTicket, TicketRows } from "./ticket-rows.ts";
import { type Claim, isWanted, type Work, WorkTable } from "./work-table.ts";

/** A cancelled job is answered as such to a worker that still holds it for this long. */
const cancelledLifetimeMs = 600_000;
const recentCountMax = 20_000;

export type Surroundings = {
  rows: TicketRows;
  /** Hands a work's message to the sender. */
  send: (work: Work, message: string, bytes: number) => void;
  /** Closes a reservation nobody will be charged for. */
  refund: (tenant: string, id: JobId) => void;
  /** One request needs the reservation no more; others may. */
  release: (tenant: string, id: JobId) => void;
  /** Something happened to a job that names a webhook. */
  notify: (id: JobId, webhook: Webhook, event: WebhookEvent) => void;
  now: () => number;
  /** @returns 32 lower-case hex digits */
  randomHex: () => string;
};

export class JobBoard {
  readonly #surroundings: Surroundings;
  readonly #works = new WorkTable();
  readonly #cancelled = new RecentIds(cancelledLifetimeMs, recentCountMax);
  readonly #delivered = new RecentIds(cancelledLifetimeMs, recentCountMax);
  readonly #failed = new RecentIds(cancelledLifetimeMs, recentCountMax);

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
  }

  /** After the object was put away: open tickets want their computations again, unsent messages go out again. */
  restore(): void {
    const { rows, now } = this.#surroundings;
    for (const stored of rows.open()) this.#restoreTicket(stored);
    for (const { workId } of rows.canceledSince(now() - cancelledLifetimeMs)) {
      this.#cancelled.add(workId, now());
    }
  }

  run(request: RunRequest): Promise<RunOutcome> | RunOutcome {
    const { job, webhook, wait } = request;
    const repeated = request.keep === "from-start" ? this.#repeated(job) : undefined;
    if (repeated !== undefined) return { kind: "waiting", ticket: repeated };
    const joined = this.#join(job);
    if (joined === undefined && this.#hasEnded(job.id)) return { kind: "ended" };
    const work = joined ?? this.#open(request);
    const claim = { job, webhook };
    if (wait === null) return { kind: "waiting", ticket: this.#issue(work, claim) };
    const ticketId = request.keep === "from-start" ? this.#issue(work, claim).id : null;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#outlast(wait.waiter), wait.milliseconds);
      const { waiter, graceMilliseconds } = wait;
      this.#works.addWaiter(work, waiter, { claim, ticketId, graceMilliseconds, resolve, timer });
    });
  }

  /** The call named `waiter` hung up. */
  leave(waiter: string): void {
    const taken = this.#works.takeWaiter(waiter);
    if (taken === undefined) return;
    const { work } = taken;
    taken.waiter.resolve({ kind: "left" });
    const grace = taken.waiter.graceMilliseconds;
    if (grace === 0) this.#dropUnwanted(work);
    else setTimeout(() => this.#dropUnwanted(work), grace);
  }

  find(id: JobId, tenant: string): Ticket | null {
    const stored = this.#surroundings.rows.find(id);
    return stored?.tenant === tenant ? stored.ticket : null;
  }

  /** A job that is finished already stays as it is. */
  cancel(id: JobId, tenant: string): Ticket | null {
    const stored = this.#surroundings.rows.find(id);
    if (stored?.tenant !== tenant) return null;
    if (stored.ticket.finishedAt !== null) return stored.ticket;
    this.#finishTicket(id, { status: "canceled" });
    const work = this.#works.find(stored.workId);
    work?.tickets.delete(id);
    if (work !== undefined) this.#dropUnwanted(work);
    return this.find(id, tenant);
  }

  receive(request: ReceiveRequest): ReceiveResponse {
    const now = this.#surroundings.now();
    const cancelled = new Set<JobId>();
    const delivered: JobId[] = [];
    for (const event of request.events) {
      this.#take(event);
      if (this.#isGivenUp(event.jobId, now)) cancelled.add(event.jobId);
      if (this.#delivered.has(event.jobId, now)) delivered.push(event.jobId);
    }
    for (const id of request.inFlight) if (this.#isGivenUp(id, now)) cancelled.add(id);
    return { cancelled: [...cancelled], delivered };
  }

  /** Whether the reservation of this job may be closed. A request came to share it as the computation ended. */
  #hasEnded(id: JobId): boolean {
    const now = this.#surroundings.now();
    return [this.#cancelled, this.#delivered, this.#failed].some((ids) => ids.has(id, now));
  }

  #isGivenUp(id: JobId, now: number): boolean {
    return this.#cancelled.has(id, now) && this.#works.find(id) === undefined;
  }

  /** Whether the message of this work is still to be sent. */
  isUnsent(id: string): boolean {
    const work = this.#works.find(id);
    return work !== undefined && work.message !== null;
  }

  markSent(id: string): void {
    const work = this.#works.find(id);
    if (work === undefined) return;
    work.message = null;
    if (work.tickets.size > 0) this.#surroundings.rows.markSent(id);
  }

  /** The work came to nothing: everybody who wants it is told so. */
  fail(id: string, error: PublicError): void {
    const work = this.#works.find(id);
    if (work === undefined) return;
    this.#fail(work, error);
    this.#surroundings.refund(work.tenant, work.id);
  }

  /** Forgets tickets whose day is over. @returns their ids */
  purge(before: number): JobId[] {
    const purged = this.#surroundings.rows.purge(before);
    for (const { id, workId } of purged) {
      const work = this.#works.find(workId);
      work?.tickets.delete(id);
      if (work !== undefined) this.#dropUnwanted(work);
    }
    return purged.map(({ id }) => id);
  }

  /** The job of a request that was put down before the shard was struck down, and is now asked again. */
  #repeated({ id, tenant, createdAt }: JobHead): Ticket | undefined {
    const stored = this.#surroundings.rows.find(id);
    const same = stored?.tenant === tenant && stored.ticket.createdAt === createdAt;
    return same ? stored.ticket : undefined;
  }

  #join({ id, tenant, requestKey }: JobHead): Work | undefined {
    const work = this.#works.joinable(id, requestKey);
    // The reservation under which this request was admitted has no computation of its own.
    if (work !== undefined && work.id !== id) this.#surroundings.release(tenant, id);
    return work;
  }

  #open(request: RunRequest): Work {
    const { job, message } = request;
    const work: Work = {
      id: job.id,
      tenant: job.tenant,
      requestKey: job.requestKey,
      status: "starting",
      sequence: 0,
      message,
      waiters: new Map(),
      tickets: new Map(),
    };
    this.#works.add(work);
    this.#surroundings.send(work, message, request.messageBytes);
    return work;
  }

  #freshId(sibling: JobId): JobId {
    return formatJobId(shardOfJobId(sibling) ?? 0, this.#surroundings.randomHex());
  }

  /** The waiting call's time is up: it gets a ticket instead of a result. */
  #outlast(name: string): void {
    const taken = this.#works.takeWaiter(name);
    if (taken === undefined) return;
    const { work, waiter } = taken;
    const { rows } = this.#surroundings;
    const known = waiter.ticketId === null ? undefined : rows.find(waiter.ticketId);
    const ticket = known?.ticket ?? this.#issueOrShare(work, waiter.claim);
    waiter.resolve({ kind: "waiting", ticket });
  }

  /** A retry that outlasts its window again comes back with the ticket of the first. */
  #issueOrShare(work: Work, claim: Claim): Ticket {
    const look = lookOf(claim.job, claim.webhook);
    for (const [id, other] of work.tickets) {
      const shared = other === look ? this.#surroundings.rows.find(id) : undefined;
      if (shared !== undefined) return shared.ticket;
    }
    return this.#issue(work, claim);
  }

  #issue(work: Work, { job, webhook }: Claim): Ticket {
    const { rows, notify } = this.#surroundings;
    const id = rows.find(work.id) === undefined ? work.id : this.#freshId(work.id);
    work.tickets.set(id, lookOf(job, webhook));
    const { status, sequence, message } = work;
    const ticket = rows.add({ id, job, webhook, workId: work.id, status, sequence, message });
    if (status === "processing" && webhook !== null) notify(id, webhook, "start");
    return ticket;
  }

  /**
   * An end always counts where the work is still open: a worker that took over from another starts its sequence afresh.
   * A second end finds no work.
   */
  #take(event: ShardEvent): void {
    const work = this.#works.find(event.jobId);
    if (work === undefined) return;
    if (event.kind === "failed") this.#fail(work, event.error);
    else if (event.kind === "succeeded") this.#succeed(work, event.result);
    else if (event.sequence > work.sequence) {
      work.sequence = event.sequence;
      if (event.kind === "started" && work.status === "starting") this.#start(work);
    }
  }

  #start(work: Work): void {
    work.status = "processing";
    work.message = null;
    if (work.tickets.size === 0) return;
    const { rows, notify } = this.#surroundings;
    rows.markStarted(work.id, work.sequence);
    for (const { ticket, webhook } of rows.ofWork(work.id)) {
      if (webhook !== null) notify(ticket.id, webhook, "start");
    }
  }

  #succeed(work: Work, result: StoredResult): void {
    this.#delivered.add(work.id, this.#surroundings.now());
    this.#finish(work, { status: "succeeded", result });
  }

  #fail(work: Work, error: PublicError): void {
    this.#failed.add(work.id, this.#surroundings.now());
    this.#finish(work, { status: "failed", error });
  }

  #finish(work: Work, outcome: Exclude<Outcome, { status: "canceled" }>): void {
    this.#works.remove(work);
    for (const id of work.tickets.keys()) this.#finishTicket(id, outcome);
    const told: RunOutcome =
      outcome.status === "succeeded"
        ? { kind: "succeeded", jobId: work.id, result: outcome.result }
        : { kind: "failed", jobId: work.id, error: outcome.error };
    for (const waiter of work.waiters.values()) {
      clearTimeout(waiter.timer);
      waiter.resolve(told);
    }
  }

  #finishTicket(id: JobId, outcome: Outcome): void {
    const { rows, notify, now } = this.#surroundings;
    rows.finish(id, outcome, now());
    const webhook = rows.find(id)?.webhook ?? null;
    if (webhook === null) return;
    if (outcome.status === "succeeded") notify(id, webhook, "output");
    notify(id, webhook, "completed");
  }

  #dropUnwanted(work: Work): void {
    if (isWanted(work) || this.#works.find(work.id) !== work) return;
    this.#works.remove(work);
    this.#cancelled.add(work.id, this.#surroundings.now());
    this.#surroundings.refund(work.tenant, work.id);
  }

  #restoreTicket(stored: StoredTicket): void {
    const { workId, ticket } = stored;
    const work = this.#works.find(workId) ?? this.#restoreWork(stored);
    work.sequence = Math.max(work.sequence, stored.sequence);
    if (ticket.status === "processing") work.status = "processing";
    work.tickets.set(ticket.id, lookOf(ticket, stored.webhook));
  }

  #restoreWork(stored: StoredTicket): Work {
    const work: Work = {
      id: stored.workId,
      tenant: stored.tenant,
      requestKey: stored.requestKey,
      status: "starting",
      sequence: stored.sequence,
      message: stored.message,
      waiters: new Map(),
      tickets: new Map(),
    };
    this.#works.add(work);
    if (stored.message !== null) {
      const bytes = new TextEncoder().encode(stored.message).byteLength;
      this.#surroundings.send(work, stored.message, bytes);
    }
    return work;
  }
}

/** Tickets that look alike may be shared; one with a webhook is its caller's alone. */
function lookOf(job: Pick<JobHead, "rendering" | "warnings">, webhook: Webhook | null): string {
  return webhook === null ? JSON.stringify([job.rendering, job.warnings]) : "";
}
