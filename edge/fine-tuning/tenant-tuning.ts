/**
 * The Durable Object that owns the tuning jobs of one key: which there are, whose turn it is, which worker has the one
 * that runs, and what was used of the day's seconds. How a job moves is job-course.ts; this gives it a clock, storage
 * and the network. Its alarm takes up again whatever a crash left half done.
 */
import { DurableObject } from "cloudflare:workers";
import type { JobId } from "#contract/job-id.ts";
import type {
  TuningClaim,
  TuningJobId,
  TuningOrder,
  TuningReport,
  TuningReportAnswer,
} from "#contract/training/tuning-job.ts";
import { tuningPlanBounds } from "#contract/training/tuning-plan.ts";
import { QuotaLedger } from "../accounts/quota-ledger.ts";
import { type Env, type Settings, settingsOf } from "../environment.ts";
import { randomHex } from "../http/random-hex.ts";
import { CreatedJobs, type Sending } from "./created-before.ts";
import { EventTails } from "./event-tail.ts";
import {
  type Course,
  type CourseChange,
  hasRoom,
  isAtRest,
  isToBeDiscarded,
  isOver,
  lapsesAt,
  moved,
  newCourse,
  secondsCharged,
  whoseTurn,
} from "./job-course.ts";
import { filesOfOrder, judgeFiles } from "./judge-files.ts";
import { discardObjects, serveModel } from "./serve-model.ts";
import { checkedOutcome, orderOf } from "./tuning-order.ts";
import { openTrainingQueue } from "./training-queue.ts";
import { wordsOfChange } from "./change-words.ts";
import {
  TuningEvents,
  type TuningCheckpointObject,
  type TuningEventObject,
} from "./tuning-events.ts";
import type { NewTuningJob, TuningJob } from "./tuning-job.ts";
import { tuningLimits, type TuningRefusal } from "./tuning-limits.ts";
import { type TuningPage, TuningRows } from "./tuning-rows.ts";

/**
 * Files that are being checked, and models that are being loaded, are asked about after a part of the time that they
 * took already, within these bounds.
 */
const [askMsMin, askMsMax] = [250, 30_000];
const askPart = 1 / 20;
/** What failed is tried again after this long. */
const againMs = 5_000;
/**
 * A message that nobody claimed is sent again after this long: it may be lost, or in the dead-letter queue, where
 * claims failed. Of two messages the second finds nothing to claim.
 */
const unclaimedMs = 900_000;

declare module "../environment.ts" {
  interface Env {
    readonly TUNING: DurableObjectNamespace<TenantTuning>;
  }
}

/** What came of cancel, pause or resume: the job; what it cannot be; or null, there is no such job. */
export type TuningAnswer = { job: TuningJob } | { refused: Course["status"] | "no room" } | null;

type Created = { job: TuningJob } | { refusal: TuningRefusal };
/** `conflict`: the key was sent with another body. */
export type CreationAnswer = Created | "conflict";

export class TenantTuning extends DurableObject<Env> {
  readonly #settings: Settings;
  readonly #rows: TuningRows;
  readonly #events: TuningEvents;
  readonly #seconds: QuotaLedger;
  readonly #created: CreatedJobs;
  readonly #tails = new EventTails();
  readonly #send: ReturnType<typeof openTrainingQueue>;
  /** Milliseconds since the epoch. Not stored: it only limits. */
  #dryRun: { id: string; until: number } | null = null;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#settings = settingsOf(env);
    this.#rows = new TuningRows(ctx.storage.sql);
    this.#events = new TuningEvents(ctx.storage.sql);
    this.#seconds = new QuotaLedger(ctx.storage.sql);
    this.#created = new CreatedJobs(ctx.storage.sql);
    this.#send = openTrainingQueue(this.#settings);
  }

  /** What an earlier sending of the same was answered. @returns null: it is new */
  createdBefore(sending: Sending): CreationAnswer | null {
    const before = this.#created.find(sending, Date.now());
    if (before === null || before === "conflict") return before;
    const job = this.#rows.find(before.job);
    return job === null ? null : { job };
  }

  async create(asked: NewTuningJob): Promise<Created> {
    const models = await this.env.TUNED_MODELS.getByName(asked.tenant).list();
    return this.#create(asked, models.length);
  }

  /** What was sent before is answered by the job that it made. */
  async createOnce(asked: NewTuningJob, sending: Sending): Promise<CreationAnswer> {
    const models = await this.env.TUNED_MODELS.getByName(asked.tenant).list();
    // From here on nothing else happens in between.
    const before = this.createdBefore(sending);
    if (before !== null) return before;
    const created = this.#create(asked, models.length);
    if ("job" in created) this.#created.add(asked.id, sending, Date.now());
    else this.#created.refused(sending);
    return created;
  }

  #create(asked: NewTuningJob, models: number): Created {
    // Whoever has an id of its own for what it wants asks again by it.
    const before = this.#rows.find(asked.id);
    if (before !== null) return { job: before };
    const refusal = this.#refusalOf(asked, models);
    return refusal === null ? { job: this.#begin(asked) } : { refusal };
  }

  #refusalOf(asked: NewTuningJob, models: number): TuningRefusal | null {
    const open = this.#rows.toDo().filter(({ course }) => !isOver(course));
    if (!hasRoom(open.map(({ course }) => course))) return { kind: "jobs" };
    if (models + open.length >= tuningLimits.modelsMax) return { kind: "models" };
    return this.#reserve(asked);
  }

  #begin(asked: NewTuningJob): TuningJob {
    const job: TuningJob = {
      ...asked,
      createdAt: Date.now(),
      course: newCourse,
      fileTask: null,
      progress: null,
      loading: { job: null, tries: 0 },
      resultFiles: [],
      report: null,
    };
    this.#rows.add(job);
    this.#tell(job.id, `Created fine-tuning job: ${job.id}`);
    const files = [job.trainingFile, ...(job.validationFile === null ? [] : [job.validationFile])];
    for (const file of files) this.#tell(job.id, `Validating file: ${file}`);
    void this.#wakeNow();
    return job;
  }

  #reserve({ id, options }: NewTuningJob): TuningRefusal | null {
    const limits = {
      requestsPerMinute: Number.POSITIVE_INFINITY,
      openRequests: Number.POSITIVE_INFINITY,
      unitsPerDay: this.#settings.trainingSecondsPerDay,
    };
    const request = { jobId: id, requestKey: null, units: options.maxSeconds };
    const { refusal, snapshot } = this.#seconds.reserve(request, limits, Date.now());
    const { remaining: left, resetMs } = snapshot.units;
    return refusal === null ? null : { kind: "seconds", left, resetMs };
  }

  /** @returns whether it may begin: one at a time does. One whose end was not told counts until it must be over. */
  beginDryRun(id: string): boolean {
    const now = Date.now();
    if (this.#dryRun !== null && now < this.#dryRun.until) return false;
    this.#dryRun = { id, until: now + 1_000 * tuningPlanBounds.secondsMax };
    return true;
  }

  endDryRun(id: string): void {
    if (this.#dryRun?.id === id) this.#dryRun = null;
  }

  find(id: TuningJobId): TuningJob | null {
    return this.#rows.find(id);
  }

  page(page: TuningPage): TuningJob[] | null {
    return this.#rows.page(page);
  }

  async change(id: TuningJobId, kind: "cancel" | "pause" | "resume"): Promise<TuningAnswer> {
    const job = this.#rows.find(id);
    if (job === null) return null;
    const { status } = job.course;
    const wanted = { cancel: "cancelled", pause: "paused", resume: null }[kind];
    if (status === wanted) return { job };
    const others = this.#rows.toDo().filter((each) => each.id !== id);
    if (kind === "resume" && status === "paused" && !hasRoom(others.map(({ course }) => course)))
      return { refused: "no room" };
    const changed = this.#move(job, { kind });
    if (changed === null) return { refused: status };
    await this.#wakeNow();
    return { job: changed };
  }

  /** The newest first. @param before number of an event; null: from the last */
  events(id: TuningJobId, limit: number, before: number | null): TuningEventObject[] {
    return this.#events.page(id, limit, before);
  }

  checkpoints(id: TuningJobId, limit: number, before: number | null): TuningCheckpointObject[] {
    const job = this.#rows.find(id);
    return job === null ? [] : this.#events.checkpoints(job, limit, before);
  }

  /** Events of a job as they come: its id and the last event that is known, as JSON. */
  override async fetch(request: Request): Promise<Response> {
    const { id, after }: { id: TuningJobId; after: number } = await request.json();
    const isGone = () => {
      const job = this.#rows.find(id);
      return job === null || isOver(job.course);
    };
    const following = (from: number, limit: number) => this.#events.following(id, from, limit);
    return new Response(this.#tails.open(id, after, { following, isOver: isGone }));
  }

  async claim({ id, tenant, worker }: TuningClaim): Promise<TuningOrder | null> {
    const job = this.#rows.find(id);
    if (job?.tenant !== tenant || !isFor(worker, job.course)) return null;
    const files = await filesOfOrder(this.env, job);
    const now = this.#rows.find(id);
    // It was claimed, or is over, by now.
    if (now === null || !isFor(worker, now.course)) return null;
    if ("error" in files) {
      this.#move(now, { kind: "failed", error: files.error });
      await this.#wakeNow();
      return null;
    }
    const claimed = this.#move(now, { kind: "claimed", lease: randomHex(), worker }) ?? now;
    await this.#keepAlarm();
    return orderOf(claimed, files);
  }

  async report(report: TuningReport): Promise<TuningReportAnswer> {
    const job = this.#rows.find(report.id);
    if (job === null || job.tenant !== report.tenant) return { action: "stop" };
    const { lease, endedLease, wish } = job.course;
    if (lease?.id !== report.lease)
      return { action: endedLease === report.lease ? "continue" : "stop" };
    const heard = this.#hear(job, lease.sequence, report);
    if (report.outcome === null) return { action: wish ?? "continue" };
    // Were it not so, its worker would have to be told to stop.
    if (report.outcome.kind === "lost") this.#move(heard, { kind: "lapsed" });
    else this.#move(heard, { kind: "ended", outcome: checkedOutcome(heard, report.outcome) });
    await this.#wakeNow();
    return { action: "continue" };
  }

  /** What was heard under this lease is not kept twice. */
  #hear(
    job: TuningJob,
    sequence: number,
    { events, checkpoints, progress }: TuningReport,
  ): TuningJob {
    // Who follows it has been told that nothing follows.
    const news = (isOver(job.course) ? [] : events)
      .filter((event) => event.sequence > sequence)
      .toSorted((a, b) => a.sequence - b.sequence);
    this.#events.append(job.id, news);
    this.#events.keepCheckpoints(job.id, checkpoints);
    if (news.length > 0) this.#tails.wake(job.id);
    const known = progress === null ? job : { ...job, progress: { ...progress, at: Date.now() } };
    const last = news.at(-1)?.sequence ?? sequence;
    const seconds = progress?.seconds ?? null;
    return this.#move(known, { kind: "heard", sequence: last, seconds }) ?? known;
  }

  override async alarm(): Promise<void> {
    for (const job of this.#rows.toDo()) {
      try {
        await this.#advance(job);
      } catch (error) {
        const reason = String(error);
        console.error(JSON.stringify({ event: "tuning.not_advanced", id: job.id, reason }));
      }
    }
    await this.#giveTurn();
    for (const id of this.#rows.prune(tuningLimits.finishedMax)) this.#events.forget(id);
    await this.#keepAlarm();
  }

  /** One step of what is to be done about a job. What it awaits may take a while: rows are read again after it. */
  async #advance(job: TuningJob): Promise<void> {
    const { course, id } = job;
    if (isToBeDiscarded(course)) return this.#discard(job);
    if (course.made !== null) return this.#serve(job, course.made);
    if (course.status === "validating_files") return this.#validate(job);
    const lapses = lapsesAt(course);
    if (lapses !== null && lapses <= Date.now()) this.#change(id, { kind: "lapsed" });
  }

  async #validate(job: TuningJob): Promise<void> {
    const verdict = await judgeFiles(this.env, job);
    if (verdict === null) return;
    if ("error" in verdict) return void this.#change(job.id, { kind: "failed", ...verdict });
    const { task: fileTask } = verdict;
    this.#change(job.id, { kind: "validated" }, (now) => ({ ...now, fileTask }));
  }

  async #serve(job: TuningJob, made: NonNullable<Course["made"]>): Promise<void> {
    const serving = await serveModel(this.env, job, made, (begun) =>
      this.#keepLoading(job.id, begun),
    );
    if (serving.kind === "failed") return void this.#change(job.id, serving);
    if (serving.kind === "open") return;
    const { resultFiles, report } = serving;
    this.#change(job.id, { kind: "served" }, (now) => ({ ...now, resultFiles, report }));
  }

  async #discard(job: TuningJob): Promise<void> {
    await discardObjects(this.env, job);
    this.#change(job.id, { kind: "discarded" });
  }

  #keepLoading(id: TuningJobId, begun: JobId): void {
    const job = this.#rows.find(id);
    if (job === null) return;
    this.#rows.keep({ ...job, loading: { job: begun, tries: job.loading.tries + 1 } });
  }

  /** The message of the job whose turn it is, once more where nobody claimed it. */
  async #giveTurn(): Promise<void> {
    const jobs = this.#rows.toDo();
    const next = jobs[whoseTurn(jobs.map(({ course }) => course))];
    if (next !== undefined) this.#change(next.id, { kind: "turn" });
    for (const { id, tenant, course } of this.#rows.toDo()) {
      if (course.sendAt === null || course.sendAt > Date.now()) continue;
      this.#change(id, { kind: "sending", againAt: Date.now() + againMs });
      try {
        await this.#send({ id, tenant });
        this.#change(id, { kind: "sending", againAt: Date.now() + unclaimedMs });
      } catch (error) {
        console.error(JSON.stringify({ event: "training.not_sent", id, reason: String(error) }));
      }
    }
  }

  /** @param more what else is to be known of it, where it moves */
  #change(
    id: TuningJobId,
    change: CourseChange,
    more: (job: TuningJob) => TuningJob = (job) => job,
  ): void {
    const job = this.#rows.find(id);
    if (job !== null) this.#move(more(job), change);
  }

  /** @returns the job as it stands then; null: that cannot happen to it now */
  #move(job: TuningJob, change: CourseChange): TuningJob | null {
    const course = moved(job.course, change, Date.now());
    if (course === null) return null;
    const next = { ...job, course };
    this.#rows.keep(next);
    if (course.settled && !job.course.settled)
      this.#seconds.settle(job.id, secondsCharged(course, job.options.maxSeconds), Date.now());
    const words = wordsOfChange(next, job.course, change);
    if (words !== null) this.#tell(job.id, words, course.error === null ? "info" : "error");
    if (isOver(course)) this.#tails.wake(job.id);
    return next;
  }

  #tell(id: TuningJobId, message: string, level: "info" | "error" = "info"): void {
    this.#events.append(id, [{ at: Date.now(), level, message, type: "message", data: {} }]);
    this.#tails.wake(id);
  }

  async #wakeNow(): Promise<void> {
    await this.ctx.storage.setAlarm(Date.now());
  }

  async #keepAlarm(): Promise<void> {
    const jobs = this.#rows.toDo();
    const now = Date.now();
    const times = jobs.flatMap((job) => dueAt(job, now) ?? []);
    if (whoseTurn(jobs.map(({ course }) => course)) !== -1) times.push(now);
    if (times.length > 0) await this.ctx.storage.setAlarm(Math.min(...times));
  }
}

/** When something is to be done about a job; null: when it is next heard of. */
function dueAt({ course, createdAt }: TuningJob, now: number): number | null {
  if (isAtRest(course)) return null;
  const asking = (since: number) =>
    now + Math.min(askMsMax, Math.max(askMsMin, (now - since) * askPart));
  if (isToBeDiscarded(course)) return now + againMs;
  if (course.made !== null && !isOver(course)) return asking(course.made.at);
  if (course.status === "validating_files") return asking(createdAt);
  return lapsesAt(course) ?? course.sendAt;
}

/** Whether a worker may have it: it is to be claimed, or the answer to this worker's claim was lost. */
function isFor(worker: string, { sendAt, lease, wish }: Course): boolean {
  return sendAt !== null || (lease?.worker === worker && !lease.spoken && wish === null);
}
