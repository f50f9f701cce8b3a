/**
 * The Durable Object that owns the jobs of one shard. It joins the parts and gives them a clock, randomness, storage
 * and the network: decisions are job-board.ts, sending is coalescing-sender.ts, webhooks are
 * ../webhooks/webhook-delivery.ts.
 */
import { DurableObject } from "cloudflare:workers";
import pRetry from "p-retry";
import type { JobId } from "#contract/job-id.ts";
import { limits } from "#contract/limits.ts";
import { queueNumbers } from "#contract/queue.ts";
import { settle } from "../accounts/settle.ts";
import { emptyJob } from "../answers/job-document.ts";
import type { Job } from "../answers/job.ts";
import { type Env, type Settings, settingsOf } from "../environment.ts";
import { randomHex } from "../http/random-hex.ts";
import { type Delivery, type DeliveryLog, DeliveryRows } from "../webhooks/delivery-rows.ts";
import { describeJob } from "../webhooks/describe-job.ts";
import { WebhookDelivery } from "../webhooks/webhook-delivery.ts";
import { answerStream, type StreamUse } from "./answer-stream.ts";
import { CoalescingSender } from "./coalescing-sender.ts";
import { ComputationRows } from "./computation-rows.ts";
import { createTables } from "./create-tables.ts";
import type { OpenLog } from "./find-log.ts";
import { JobBoard } from "./job-board.ts";
import { openJobQueue } from "./job-queue.ts";
import { JobRows } from "./job-rows.ts";
import type {
  AbandonRequest,
  KeepRequest,
  ReceiveRequest,
  ReceiveResponse,
  RunOutcome,
  RunRequest,
  StreamCall,
  StreamRequest,
} from "./shard-protocol.ts";

import { takeEvents } from "./take-events.ts";
import { WorkerSockets } from "./worker-sockets.ts";

const retentionMs = 1_000 * limits.resultRetentionSeconds;
/** An object that was put away with a message unsent wakes after this long to send it. */
const unsentWakeMs = 30_000;
/** A quota object that does not answer is asked again for some two minutes. */
const releaseTries = { retries: 6, minTimeout: 500, factor: 3 };
const sendRules = {
  entriesMax: queueNumbers.batchEntriesMax,
  bytesMax: queueNumbers.batchBytesMax,
  inFlightMax: 6,
  pauseMsMin: 50,
  pauseMsMax: 2_000,
};

declare module "../environment.ts" {
  interface Env {
    readonly SHARD: DurableObjectNamespace<JobShard>;
  }
}

export class JobShard extends DurableObject<Env> {
  readonly #settings: Settings;
  readonly #jobs: JobRows;
  readonly #computations: ComputationRows;
  readonly #deliveries: DeliveryRows;
  readonly #board: JobBoard;
  readonly #webhooks: WebhookDelivery;
  readonly #sender: CoalescingSender;
  readonly #sockets: WorkerSockets;
  /** When this object set its alarm to; ms since the epoch. One that comes too early costs less than to be set anew. */
  #alarmAt = Infinity;
  /** An event is owed that the alarm does not know of. */
  #owesMore = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#settings = settingsOf(env);
    createTables(ctx.storage.sql);
    this.#jobs = new JobRows(ctx.storage.sql);
    this.#computations = new ComputationRows(ctx.storage.sql);
    this.#deliveries = new DeliveryRows(ctx.storage.sql);
    this.#webhooks = this.#openWebhooks();
    this.#sender = this.#openSender();
    this.#sockets = new WorkerSockets((message) => takeEvents(env, this, message));
    this.#board = this.#openBoard();
    this.#board.restore();
  }

  async run(request: RunRequest): Promise<RunOutcome> {
    const outcome = this.#board.run(request);
    if (request.keep !== "if-it-outlasts") await this.#keepAlarm();
    const told = await outcome;
    if (told.kind === "waiting") await this.#keepAlarm();
    return told;
  }

  /** Streams, which are answers and no values; and the WebSockets of workers. */
  override async fetch(request: Request): Promise<Response> {
    if (request.headers.has("upgrade")) return this.#sockets.accept();
    const asked: StreamCall = await request.json();
    if ("run" in asked) return this.#stream(asked.run);
    const { read } = asked;
    const opened = this.#board.read(read);
    if (opened?.kind !== "log") return Response.json(opened);
    const ofJob = read.asCalled !== true;
    return this.#answer(opened, read.waiter, { ofJob, held: false, after: read.after });
  }

  async #stream(request: StreamRequest): Promise<Response> {
    const opened = this.#board.stream(request);
    if (request.keep !== "if-it-outlasts") await this.#keepAlarm();
    if (opened.kind !== "log") return Response.json(opened);
    return this.#answer(opened, request.wait.waiter, { ofJob: false, held: true, after: 0 });
  }

  #answer(opened: OpenLog, waiter: string, use: Pick<StreamUse, "ofJob" | "held" | "after">) {
    const { computation } = opened;
    return answerStream(opened, {
      ...use,
      settings: this.#settings,
      waiting: () => (computation === null ? null : this.#board.streams.placeOf(computation)),
      onGone: () => this.#board.leave(waiter),
    });
  }

  leave(waiter: string): void {
    this.#board.leave(waiter);
  }

  abandon(request: AbandonRequest): void {
    this.#board.abandon(request);
  }

  async keep(request: KeepRequest): Promise<Job> {
    const job = this.#board.jobs.keep(request);
    await this.#keepAlarm();
    return job;
  }

  find(id: JobId, tenant: string): Job | null {
    return this.#board.jobs.shown(id, tenant);
  }

  /** For who has a signed link to the job's output. */
  findLinked(id: JobId): Job | null {
    return this.#jobs.find(id)?.job ?? null;
  }

  /** @returns null where the tenant has no such job */
  deliveries(id: JobId, tenant: string): DeliveryLog[] | null {
    return this.#board.jobs.find(id, tenant) === undefined ? null : this.#deliveries.ofJob(id);
  }

  async cancel(id: JobId, tenant: string): Promise<Job | null> {
    const job = this.#board.cancel(id, tenant);
    await this.#keepAlarm();
    return job;
  }

  async receive(request: ReceiveRequest): Promise<ReceiveResponse> {
    const response = this.#board.receive(request);
    if (this.#owesMore) await this.#keepAlarm();
    return response;
  }

  override async alarm(): Promise<void> {
    this.#alarmAt = Infinity;
    this.#board.sweep();
    await this.#webhooks.deliverDue();
    for (const id of this.#board.jobs.purge(Date.now() - retentionMs)) this.#deliveries.remove(id);
    await this.#keepAlarm();
  }

  /** Sets the alarm to what is due first, or leaves an earlier one; what owes nothing and keeps nothing has none. */
  async #keepAlarm(): Promise<void> {
    this.#owesMore = false;
    const oldest = this.#jobs.oldest();
    const times = [
      this.#deliveries.nextDue(),
      oldest === null ? null : oldest + retentionMs + 1,
      this.#computations.hasUnsent() ? Date.now() + unsentWakeMs : null,
      this.#board.sweepAt,
    ].filter((time) => time !== null);
    const at = Math.min(...times);
    if (at >= this.#alarmAt) return;
    this.#alarmAt = at;
    await this.ctx.storage.setAlarm(at);
  }

  #openBoard(): JobBoard {
    return new JobBoard({
      rows: this.#jobs,
      computationRows: this.#computations,
      silence: {
        silentMs: 1_000 * this.#settings.silentWorkSeconds,
        unnamedMs: 1_000 * queueNumbers.retentionSeconds,
      },
      send: ({ id, tenant }, body, bytes) => this.#sender.send({ id, body, bytes, group: tenant }),
      release: (tenant, id) => {
        this.ctx.waitUntil(pRetry(() => settle(this.env, tenant, id, 0), releaseTries));
      },
      tellGivenUp: (id) => this.#sockets.tellGivenUp(id),
      notify: (id, webhook, event) => {
        this.#owesMore = true;
        this.#webhooks.owe(id, webhook, event);
      },
      onSweepSooner: () => {
        this.ctx.waitUntil(this.#keepAlarm());
      },
      now: () => Date.now(),
      randomHex,
    });
  }

  #openSender(): CoalescingSender {
    return new CoalescingSender(sendRules, {
      sendBatch: openJobQueue(this.#settings),
      isWanted: (id) => this.#board.takeForSending(id),
      onSent: (id) => this.#board.markSent(id),
      onRefused: (id) =>
        this.#board.fail(id, {
          code: "invalid_value",
          message: "The queue does not take this request's content.",
          param: null,
        }),
      onFailure: (error) =>
        console.error(JSON.stringify({ event: "queue.send_failed", reason: String(error) })),
      random: Math.random,
    });
  }

  #openWebhooks(): WebhookDelivery {
    const { EGRESS } = this.env;
    return new WebhookDelivery({
      rows: this.#deliveries,
      schedule: this.#settings.webhookRetrySeconds,
      fetch: (url, init) => (EGRESS === undefined ? fetch(url, init) : EGRESS.fetch(url, init)),
      describe: (delivery) => this.#describe(delivery),
      now: () => Date.now(),
      randomHex,
    });
  }

  async #describe(delivery: Delivery) {
    const stored = this.#jobs.find(delivery.jobId);
    if (stored === undefined || stored.webhook === null) return null;
    const { job, webhook } = stored;
    if (delivery.event === "start") {
      // As it stood then, whatever has happened since.
      const started: Job = {
        ...job,
        status: "processing",
        finishedAt: null,
        result: null,
        error: null,
      };
      return { webhook, job: emptyJob(started, null) };
    }
    return { webhook, job: await describeJob(job, webhook, this.#settings) };
  }
}
