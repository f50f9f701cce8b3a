/**
 * What a shard decides: which computation a request joins, who waits for it, who may come back for it, what an event
 * changes, and when nobody wants a computation any more. Plain memory for callers that wait; rows only for tickets.
 * It sends no message, makes no call and owns no clock: those come as arguments, and the Durable Object is job-shard.ts.
 */
import type { PublicError } from "#contract/errors.ts";
import { formatJobId, type JobId, shardOfJobId } from "#contract/job-id.ts";
import type { Webhook, WebhookEvent } from "../webhooks/webhook.ts";
import { EndedJobs } from "./ended-jobs.ts";
import type {
  AbandonRequest,
  JobHead,
  JobProgress,
  KeepRequest,
  ReceiveRequest,
  ReceiveResponse,
  RunOutcome,
  RunRequest,
  ShardEvent,
  Ticket,
  Verdict,
} from "./shard-protocol.ts";
import type { Outcome, StoredTicket, TicketRows } from "./ticket-rows.ts";
import { isJoinable } from "./silence.ts";
import { type Claim, isWanted, newWork, type Work, WorkTable } from "./work-table.ts";
import { type WatchSurroundings, WorkWatch } from "./work-watch.ts";

export type Surroundings = WatchSurroundings & {
  rows: TicketRows;
  /** Closes a reservation nobody will be charged for. */
  release: (tenant: string, id: JobId) => void;
  /** Something happened to a job that names a webhook. */
  notify: (id: JobId, webhook: Webhook, event: WebhookEvent) => void;
  /** @returns 32 lower-case hex digits */
  randomHex: () => string;
};

export class JobBoard {
  readonly #surroundings: Surroundings;
  readonly #works = new WorkTable();
  readonly #watch: WorkWatch;
  readonly #ended: EndedJobs;

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
    this.#watch = new WorkWatch(surroundings, this.#works);
    this.#ended = new EndedJobs(surroundings.now);
  }

  /** When to `sweep`, ms since the epoch; null: nothing needs it. */
  get sweepAt(): number | null {
    return this.#watch.sweepAt;
  }

  /** After the object was put away: open tickets want their computations again, unsent messages go out again. */
  restore(): void {
    this.#watch.restore();
    for (const stored of this.#surroundings.rows.open()) this.#restoreTicket(stored);
  }

  run(request: RunRequest): Promise<RunOutcome> | RunOutcome {
    const { job, webhook, wait } = request;
    const repeated = request.keep === "from-start" ? this.#repeated(job) : undefined;
    if (repeated !== undefined) return { kind: "waiting", ticket: repeated };
    const work = this.#join(job) ?? this.#open(request);
    if (work === null) return this.#tellEnd(request);
    const claim = { job, webhook };
    if (wait === null) return { kind: "waiting", ticket: this.#issue(work, claim) };
    const ticketId = request.keep === "from-start" ? this.#issue(work, claim).id : null;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#outlast(wait.waiter), wait.milliseconds);
      const { waiter, graceMilliseconds } = wait;
      this.#works.addWaiter(work, waiter, { claim, ticketId, graceMilliseconds, resolve, timer });
    });
  }

  /** Keeps a job whose result is known already. */
  keep({ job, webhook, result }: KeepRequest): Ticket {
    const { rows, notify } = this.#surroundings;
    const repeated = this.#repeated(job);
    if (repeated !== undefined) return repeated;
    const { id } = job;
    const ticket = rows.add({ id, job, webhook, workId: id, status: "starting", sequence: 0 });
    if (webhook !== null) notify(id, webhook, "start");
    this.#finishTicket(id, { status: "succeeded", result });
    return rows.find(id)?.ticket ?? ticket;
  }

  /** The call is answered with a failure of ours: nobody is charged for what it alone wanted. */
  abandon({ id, tenant, waiter }: AbandonRequest): void {
    this.leave(waiter);
    if (this.#works.find(id) === undefined) this.#release(tenant, id);
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
    return stored?.tenant === tenant ? this.#show(stored) : null;
  }

  /** With how far its computation is. */
  #show({ ticket, workId }: StoredTicket): Ticket {
    if (ticket.finishedAt !== null) return ticket;
    return { ...ticket, progress: this.#works.find(workId)?.progress ?? null };
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

  receive({ events, inFlight }: ReceiveRequest): ReceiveResponse {
    const cancelled = new Set<JobId>();
    const verdicts = events.map((event) => {
      const verdict = this.#take(event);
      const goesOn = event.kind === "started" || event.kind === "progress";
      if (goesOn && this.#isToGiveUp(event.jobId)) cancelled.add(event.jobId);
      return verdict;
    });
    for (const id of inFlight) {
      const work = this.#works.find(id);
      if (work !== undefined) this.#watch.hear(work);
      if (this.#isToGiveUp(id)) cancelled.add(id);
    }
    return { cancelled: [...cancelled], verdicts };
  }

  /** From now on the worker counts as told. */
  #isToGiveUp(id: JobId): boolean {
    const work = this.#works.find(id);
    if (work === undefined) return this.#ended.find(id)?.delivered === false;
    if (work.givenUp !== null) work.givenUp = "told";
    return work.givenUp !== null;
  }

  /** @returns whether the message of this work is still to be sent; it counts as underway from now on */
  takeForSending(id: string): boolean {
    const work = this.#works.find(id);
    if (work === undefined || work.sending === "sent") return false;
    if (work.givenUp !== null) {
      // It met a queue that did not take it.
      this.#end(work);
      this.#release(work.tenant, work.id);
      return false;
    }
    work.sending = "underway";
    return true;
  }

  markSent(id: string): void {
    const work = this.#works.find(id);
    if (work !== undefined) this.#watch.markSent(work);
  }

  /** The work came to nothing: everybody who wants it is told so. */
  fail(id: string, error: PublicError): void {
    const work = this.#works.find(id);
    if (work === undefined) return;
    this.#release(work.tenant, work.id);
    this.#finish(work, { status: "failed", error });
  }

  /** Sends again what fell silent, and fails what did so twice or was never named. */
  sweep(): void {
    for (const work of this.#watch.lost()) {
      const again = work.givenUp === null && work.named && this.#watch.sendAgain(work);
      if (!again) this.fail(work.id, lostError(work));
    }
    this.#watch.rearm();
  }

  /** Forgets tickets whose day is over. @returns their ids */
  purge(before: number): JobId[] {
    return this.#surroundings.rows.purge(before);
  }

  /** The job of a request that was put down before the shard was struck down, and is now asked again. */
  #repeated({ id, tenant, createdAt }: JobHead): Ticket | undefined {
    const stored = this.#surroundings.rows.find(id);
    const same = stored?.tenant === tenant && stored.ticket.createdAt === createdAt;
    return same ? this.#show(stored) : undefined;
  }

  #join({ id, tenant, requestKey }: JobHead): Work | undefined {
    const { silence, now } = this.#surroundings;
    const alike = this.#works.alike(id, requestKey);
    const work = alike.find((each) => isJoinable(each, silence, now()));
    if (work === undefined) return undefined;
    if (work.givenUp !== null) {
      work.givenUp = null;
      this.#watch.note(work);
    }
    // A reservation that no computation has is closed.
    if (this.#works.find(id) === undefined) this.#release(tenant, id);
    return work;
  }

  /** @returns null where the job's reservation is closed, or is that of a computation nobody may join */
  #open(request: RunRequest): Work | null {
    const { id, tenant, requestKey } = request.job;
    if (this.#ended.find(id) !== undefined || this.#works.find(id) !== undefined) return null;
    const { message } = request;
    const quietSince = this.#surroundings.now();
    const work = newWork({ id, tenant, requestKey, message, quietSince });
    this.#works.add(work);
    this.#surroundings.send(work, request.message, request.messageBytes);
    return work;
  }

  /** What a call is told whose job ended before it came. */
  #tellEnd({ job, keep }: RunRequest): RunOutcome {
    const result = keep === "from-start" ? undefined : this.#ended.resultOf(job.id);
    return result === undefined ? { kind: "closed" } : { kind: "succeeded", jobId: job.id, result };
  }

  /** A job that has ended was settled, or will be by its event. */
  #release(tenant: string, id: JobId): void {
    if (this.#ended.find(id) !== undefined) return;
    this.#ended.close(id, 0);
    this.#surroundings.release(tenant, id);
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
    waiter.resolve({ kind: "waiting", ticket: { ...ticket, progress: work.progress } });
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
    this.#watch.keepRow(work);
    const { status, sequence } = work;
    const ticket = rows.add({ id, job, webhook, workId: work.id, status, sequence });
    if (status === "processing" && webhook !== null) notify(id, webhook, "start");
    return { ...ticket, progress: work.progress };
  }

  /**
   * An end always counts where the work is still open: a worker that took over from another starts its sequence afresh.
   * A second end finds no work.
   */
  #take(event: ShardEvent): Verdict {
    const work = this.#works.find(event.jobId);
    if (work !== undefined) this.#watch.hear(work);
    if (event.kind === "started" || event.kind === "progress") {
      if (work !== undefined) this.#advance(work, event);
      return { wanted: true, units: null };
    }
    if (work === undefined) return this.#judge(event.jobId, event.units);
    if (work.givenUp !== null) {
      this.#end(work);
      this.#ended.close(work.id, event.units);
    } else if (event.kind === "cancelled") {
      // A worker was told to give up what is wanted again since this object was put away.
      if (this.#watch.sendAgain(work)) return { wanted: true, units: null };
      this.fail(work.id, lostError(work));
    } else if (event.kind === "failed") {
      this.#ended.close(work.id, event.units);
      this.#tellStart(work);
      this.#finish(work, { status: "failed", error: event.error });
    } else {
      this.#ended.deliver(work.id, event.units, event.result);
      this.#tellStart(work);
      this.#finish(work, { status: "succeeded", result: event.result });
    }
    return this.#judge(event.jobId, event.units);
  }

  /** A second end of a job, from another worker, is settled as the first was. */
  #judge(id: JobId, units: number): Verdict {
    const ended = this.#ended.find(id);
    return { wanted: ended?.delivered ?? true, units: ended?.units ?? units };
  }

  /** A job that progresses has started, whatever became of that event. Rows hear of the start alone. */
  #advance(work: Work, event: Extract<ShardEvent, { kind: "started" | "progress" }>): void {
    if (event.sequence <= work.sequence) return;
    work.sequence = event.sequence;
    // Another worker begins it afresh.
    work.progress = event.kind === "started" ? null : progressOf(event);
    if (work.status === "processing") return;
    if (work.tickets.size > 0) this.#surroundings.rows.markStarted(work.id, work.sequence);
    this.#tellStart(work);
  }

  /** Once: what a worker ended before it reported that it had started is over by its first report. */
  #tellStart(work: Work): void {
    if (work.status === "processing") return;
    work.status = "processing";
    if (work.tickets.size === 0) return;
    const { rows, notify } = this.#surroundings;
    for (const { ticket, webhook } of rows.ofWork(work.id)) {
      if (webhook !== null) notify(ticket.id, webhook, "start");
    }
  }

  #end(work: Work): void {
    this.#works.remove(work);
    if (work.hasRow) this.#surroundings.workRows.remove(work.id);
  }

  #finish(work: Work, outcome: Exclude<Outcome, { status: "canceled" }>): void {
    this.#end(work);
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

  /** What no worker can have is released; of anything else a worker says what it took. */
  #dropUnwanted(work: Work): void {
    if (isWanted(work) || work.givenUp !== null || this.#works.find(work.id) !== work) return;
    if (work.sending !== "unsent" || work.resent) {
      work.givenUp = "untold";
      this.#watch.note(work);
      return;
    }
    this.#end(work);
    this.#release(work.tenant, work.id);
  }

  #restoreTicket({ workId, ticket, sequence, webhook }: StoredTicket): void {
    const work = this.#works.find(workId);
    if (work === undefined) return;
    work.sequence = Math.max(work.sequence, sequence);
    if (ticket.status === "processing") work.status = "processing";
    work.tickets.set(ticket.id, lookOf(ticket, webhook));
  }
}

function lostError(work: Work): PublicError {
  const message =
    work.named || work.resent
      ? "Every worker that took this job was lost before it could answer."
      : "No worker took this job in a day.";
  return { code: "worker_lost", message, param: null };
}

function progressOf({ completed, total }: JobProgress): JobProgress {
  return { completed, total };
}

/** Tickets that look alike may be shared; one with a webhook is its caller's alone. */
function lookOf(job: Pick<JobHead, "rendering" | "warnings">, webhook: Webhook | null): string {
  return webhook === null ? JSON.stringify([job.rendering, job.warnings]) : "";
}
