/**
 * What a shard decides: which computation a request joins, who waits for it, who may come back for it, what an event
 * changes, and when nobody wants a computation any more. Memory for callers that wait, rows for jobs. Messages, calls
 * and the clock come as arguments; the Durable Object is job-shard.ts.
 */
import type { PublicError } from "#contract/errors.ts";
import type { JobId } from "#contract/job-id.ts";
import type { Job } from "../answers/job.ts";
import { toldOtherwise } from "../answers/result-entries.ts";
import {
  type Claim,
  isWanted,
  newComputation,
  type Computation,
  ComputationTable,
} from "./computation-table.ts";
import { ComputationStreams } from "./computation-streams.ts";
import {
  ComputationWatch,
  isJoinable,
  lostError,
  type WatchDependencies,
} from "./computation-watch.ts";
import { EndedComputations } from "./ended-computations.ts";
import type { OpenLog } from "./find-log.ts";
import type { Outcome } from "./job-rows.ts";
import { type JobDependencies, KeptJobs } from "./kept-jobs.ts";
import {
  type AbandonRequest,
  type InterimEvent,
  isInterim,
  type JobHead,
  type ReadRequest,
  type ReceiveRequest,
  type ReceiveResponse,
  type RunOutcome,
  type RunRequest,
  type ShardEvent,
  type StreamRequest,
  type Verdict,
} from "./shard-protocol.ts";

export type Dependencies = WatchDependencies &
  JobDependencies & {
    /** Closes a reservation nobody will be charged for. */
    release: (tenant: string, id: JobId) => void;
    /** Nobody wants the computation any more. @returns whether a worker that has it was told so at once */
    tellGivenUp: (id: JobId) => boolean;
  };

export class JobBoard {
  readonly #dependencies: Dependencies;
  readonly #computations = new ComputationTable();
  readonly jobs: KeptJobs;
  readonly #watch: ComputationWatch;
  readonly #ended: EndedComputations;
  readonly streams: ComputationStreams;

  constructor(dependencies: Dependencies) {
    this.#dependencies = dependencies;
    this.jobs = new KeptJobs(dependencies, this.#computations);
    this.#watch = new ComputationWatch(dependencies, this.#computations);
    this.#ended = new EndedComputations(dependencies.now);
    const { now } = dependencies;
    this.streams = new ComputationStreams(this.jobs, this.#computations, this.#watch, now);
  }

  /** When to `sweep`, ms since the epoch; null: nothing needs it. */
  get sweepAt(): number | null {
    return this.#watch.sweepAt;
  }

  /** After the object was put away: open jobs want their computations again, unsent messages go out again. */
  restore(): void {
    this.#watch.restore();
    this.jobs.restore();
  }

  run(request: RunRequest): Promise<RunOutcome> | RunOutcome {
    const { job, webhook, wait } = request;
    const entered = this.#enter(request);
    if ("kind" in entered) return entered;
    const { computation, kept } = entered;
    const ofJob = { jobId: kept?.id ?? null, isOwner: request.keep === "while-held" };
    if (wait === null) return { kind: "waiting", job: kept ?? this.#issue(computation, request) };
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#outlast(wait.waiter), wait.milliseconds);
      const call = { claim: { job, webhook }, resolve, timer };
      this.#computations.addWaiter(computation, wait.waiter, { ...wait, ...ofJob, call });
    });
  }

  /** As `run`, for a call that reads all of it as it comes. */
  stream(request: StreamRequest): OpenLog | RunOutcome {
    const { job, keep, wait } = request;
    const entered = this.#enter(request);
    if ("kind" in entered) {
      if (entered.kind === "waiting") {
        const { id } = entered.job;
        return this.read({ id, tenant: job.tenant, ...wait }) ?? { kind: "closed" };
      }
      if (entered.kind !== "succeeded") return entered;
      return this.streams.ofResult(job, entered.result);
    }
    const ofJob = { jobId: entered.kept?.id ?? null, isOwner: keep === "while-held" };
    return this.streams.open(entered.computation, job, { ...wait, ...ofJob });
  }

  /** Goes on with a stream, or begins to read a job. @returns null where the tenant has none such */
  read({ id, tenant, ...wait }: Omit<ReadRequest, "after">): OpenLog | RunOutcome | null {
    const found = this.streams.find(id, tenant);
    if (found?.computation == null) return found;
    if (found.computation.givenUp === "told") return null;
    const error = this.streams.refusal(found.computation);
    if (error !== null) return { kind: "failed", jobId: id, error };
    this.#takeUp(found.computation);
    this.streams.listen(found.computation, { ...wait, jobId: id, isOwner: false });
    return found;
  }

  /** The call is answered with a failure of ours: nobody is charged for what it alone wanted. */
  abandon({ id, tenant, waiter }: AbandonRequest): void {
    this.leave(waiter);
    if (this.#computations.find(id) === undefined) this.#release(tenant, id);
  }

  /** The call named `waiter` hung up. */
  leave(waiter: string): void {
    const taken = this.#computations.takeWaiter(waiter);
    if (taken === undefined) return;
    const { computation } = taken;
    taken.waiter.call?.resolve({ kind: "left" });
    const { graceMilliseconds: grace, jobId, isOwner } = taken.waiter;
    const drop = () => {
      if (isOwner && jobId !== null) this.cancel(jobId, computation.tenant);
      else this.#dropUnwanted(computation);
    };
    if (grace === 0) drop();
    else setTimeout(drop, grace);
  }

  /** A job that is finished already stays as it is. */
  cancel(id: JobId, tenant: string): Job | null {
    const stored = this.jobs.find(id, tenant);
    if (stored === undefined) return null;
    if (stored.job.finishedAt !== null) return stored.job;
    const computation = this.#computations.find(stored.computationId);
    this.jobs.finish(id, { status: "canceled" }, computation?.log.told ?? null);
    if (computation !== undefined) {
      computation.jobs.delete(id);
      this.#computations.dropReaders(computation, id);
      this.#dropUnwanted(computation);
      if (!isWanted(computation)) this.streams.cancel(computation);
    }
    return this.jobs.shown(id, tenant);
  }

  receive({ events, inFlight }: ReceiveRequest): ReceiveResponse {
    const cancelled = new Set<JobId>();
    const verdicts = events.map((event) => {
      const verdict = this.#take(event);
      if (isInterim(event) && this.#isToGiveUp(event.jobId)) cancelled.add(event.jobId);
      return verdict;
    });
    for (const id of inFlight) {
      const computation = this.#computations.find(id);
      if (computation !== undefined) this.#watch.hear(computation);
      if (this.#isToGiveUp(id)) cancelled.add(id);
    }
    this.#watch.keepHeard();
    return { cancelled: [...cancelled], verdicts };
  }

  /** From now on the worker counts as told. */
  #isToGiveUp(id: JobId): boolean {
    const computation = this.#computations.find(id);
    if (computation === undefined) return this.#ended.find(id)?.delivered === false;
    if (computation.givenUp !== null) computation.givenUp = "told";
    return computation.givenUp !== null;
  }

  /** @returns whether the message of this computation is still to be sent; it counts as underway from now on */
  takeForSending(id: string): boolean {
    const computation = this.#computations.find(id);
    if (computation === undefined || computation.sending === "sent") return false;
    if (computation.givenUp !== null) {
      // It met a queue that did not take it.
      this.#end(computation);
      this.#release(computation.tenant, computation.id);
      return false;
    }
    computation.sending = "underway";
    return true;
  }

  markSent(id: string): void {
    const computation = this.#computations.find(id);
    if (computation !== undefined) this.#watch.markSent(computation);
  }

  /** The computation came to nothing: everybody who wants it is told so. */
  fail(id: string, error: PublicError): void {
    const computation = this.#computations.find(id);
    if (computation === undefined) return;
    this.#release(computation.tenant, computation.id);
    this.#finish(computation, { status: "failed", error });
    this.#dependencies.tellGivenUp(computation.id);
  }

  /** Sends again what fell silent, and fails what did so twice or was never named. */
  sweep(): void {
    for (const computation of this.#watch.lost()) {
      const again =
        computation.givenUp === null && computation.named && this.#watch.sendAgain(computation);
      if (!again) this.fail(computation.id, lostError(computation));
    }
    this.#watch.rearm();
  }

  #join({ id, tenant, requestKey }: JobHead): Computation | undefined {
    const { silence, now } = this.#dependencies;
    const alike = this.#computations.alike(id, requestKey);
    const computation = alike.find((each) => isJoinable(each, silence, now()));
    if (computation === undefined) return undefined;
    this.#takeUp(computation);
    // A reservation that no computation has is closed.
    if (this.#computations.find(id) === undefined) this.#release(tenant, id);
    return computation;
  }

  /** @returns the computation of a request, and its job where that is kept from the start; or what is told instead */
  #enter(request: RunRequest): { computation: Computation; kept: Job | null } | RunOutcome {
    const { job, keep } = request;
    const isKept = keep !== "if-it-outlasts";
    const repeated = isKept ? this.jobs.repeated(job) : undefined;
    if (repeated !== undefined) return this.jobs.again(repeated, keep === "while-held");
    const computation = this.#join(job) ?? this.#open(request);
    if (computation === null) return this.#tellEnd(request);
    return { computation, kept: isKept ? this.#issue(computation, request) : null };
  }

  /** It is wanted again. */
  #takeUp(computation: Computation): void {
    if (computation.givenUp === null) return;
    computation.givenUp = null;
    this.#watch.note(computation);
  }

  /** @returns null where the job's reservation is closed, or is that of a computation nobody may join */
  #open(request: RunRequest): Computation | null {
    const { id, tenant, requestKey } = request.job;
    if (this.#ended.find(id) !== undefined || this.#computations.find(id) !== undefined)
      return null;
    const { message } = request;
    const quietSince = this.#dependencies.now();
    const computation = newComputation({ id, tenant, requestKey, message, quietSince });
    this.#computations.add(computation);
    this.#dependencies.send(computation, request.message, request.messageBytes);
    return computation;
  }

  /** What a call is told whose job ended before it came. */
  #tellEnd({ job, keep }: RunRequest): RunOutcome {
    const result = keep === "if-it-outlasts" ? this.#ended.resultOf(job.id) : undefined;
    return result === undefined ? { kind: "closed" } : { kind: "succeeded", jobId: job.id, result };
  }

  /** A job that has ended was settled, or will be by its event. */
  #release(tenant: string, id: JobId): void {
    if (this.#ended.find(id) !== undefined) return;
    this.#ended.close(id, 0);
    this.#dependencies.release(tenant, id);
  }

  /** From its first job on, a computation outlives this object. */
  #issue(computation: Computation, claim: Claim): Job {
    this.#watch.keepRow(computation);
    return this.jobs.issue(computation, claim);
  }

  /** The waiting call's time is up: it gets a job instead of a result. */
  #outlast(name: string): void {
    const taken = this.#computations.takeWaiter(name);
    if (taken === undefined || taken.waiter.call === null) return;
    const { computation } = taken;
    const { jobId } = taken.waiter;
    const { claim, resolve } = taken.waiter.call;
    const known = jobId === null ? undefined : this.jobs.find(jobId, computation.tenant);
    const job =
      known === undefined
        ? (this.jobs.alike(computation, claim) ?? this.#issue(computation, claim))
        : this.jobs.show(known);
    resolve({ kind: "waiting", job });
  }

  /**
   * An end always counts where the computation is still open: a worker that took over from another starts its sequence
   * afresh. A second end finds no computation.
   */
  #take(event: ShardEvent): Verdict {
    const computation = this.#computations.find(event.jobId);
    if (computation !== undefined) this.#watch.hear(computation);
    if (isInterim(event)) {
      if (computation !== undefined) this.#advance(computation, event);
      return { wanted: true, units: null };
    }
    if (computation === undefined) return this.#judge(event.jobId, event.units);
    if (computation.givenUp !== null) {
      this.#end(computation);
      this.#ended.close(computation.id, event.units);
    } else if (event.kind === "cancelled") {
      // A worker was told to give up what is wanted again since this object was put away.
      if (this.#watch.sendAgain(computation)) return { wanted: true, units: null };
      this.fail(computation.id, lostError(computation));
    } else if (event.kind === "failed") {
      this.#ended.close(computation.id, event.units);
      this.#tellStart(computation);
      this.#finish(computation, { status: "failed", error: event.error });
    } else {
      this.#ended.deliver(computation.id, event.units, event.result);
      this.#tellStart(computation);
      this.#finish(computation, { status: "succeeded", result: event.result });
    }
    return this.#judge(event.jobId, event.units);
  }

  /** A second end of a job, from another worker, is settled as the first was. */
  #judge(id: JobId, units: number): Verdict {
    const ended = this.#ended.find(id);
    return { wanted: ended?.delivered ?? true, units: ended?.units ?? units };
  }

  /** A job that progresses has started, whatever became of that event. Its row hears of the start alone. */
  #advance(computation: Computation, event: InterimEvent): void {
    const isAnew =
      event.kind === "tokens" && computation.log.isBegunBy(event, computation.sequence);
    if (!isAnew && event.sequence <= computation.sequence) return;
    computation.sequence = event.sequence;
    // Another worker begins it afresh.
    if (event.kind === "started") computation.progress = null;
    if (computation.status === "starting") {
      this.#tellStart(computation);
      this.#watch.note(computation);
    }
    if (event.kind === "progress") {
      const { completed, total } = event;
      computation.progress = { completed, total };
      computation.log.append({ kind: "progress", completed, total });
    }
    if (isAnew) computation.log.beginAnew();
    if (event.kind === "tokens" && !computation.log.tell(event)) {
      this.fail(computation.id, toldOtherwise);
    }
  }

  /** Once: what a worker ended before it reported that it had started is over by its first report. */
  #tellStart(computation: Computation): void {
    if (computation.status === "processing") return;
    computation.status = "processing";
    this.streams.begin(computation);
    this.jobs.tellStart(computation);
  }

  #end(computation: Computation): void {
    this.#computations.remove(computation);
    if (computation.hasRow) this.#dependencies.computationRows.remove(computation.id);
  }

  #finish(computation: Computation, outcome: Exclude<Outcome, { status: "canceled" }>): void {
    this.#end(computation);
    this.streams.end(computation, outcome);
    const { told } = computation.log;
    for (const id of computation.jobs.keys()) this.jobs.finish(id, outcome, told);
    for (const { call, jobId: own } of computation.waiters.values()) {
      if (call === null) continue;
      clearTimeout(call.timer);
      const jobId = own ?? computation.id;
      if (outcome.status === "failed")
        call.resolve({ kind: "failed", jobId, error: outcome.error });
      else call.resolve({ kind: "succeeded", jobId, result: outcome.result });
    }
  }

  /** What no worker can have is released; of anything else a worker says what it took. */
  #dropUnwanted(computation: Computation): void {
    if (
      isWanted(computation) ||
      computation.givenUp !== null ||
      this.#computations.find(computation.id) !== computation
    )
      return;
    if (computation.sending !== "unsent" || computation.resent) {
      computation.givenUp = this.#dependencies.tellGivenUp(computation.id) ? "told" : "untold";
      this.#watch.note(computation);
      return;
    }
    this.#end(computation);
    this.#release(computation.tenant, computation.id);
  }
}
