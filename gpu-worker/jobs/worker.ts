/**
 * Puts the parts of the consuming side together and runs them: polls → consumer → answerer → reports → ledger, and the
 * announcements. Opens nothing itself: queue, edge, object store and models are given, and closed by who gave them.
 */
import type { ModelState } from "#contract/models.ts";
import { limits } from "#contract/limits.ts";
import type { BatchStats } from "../batching/batch-queue.ts";
import { whenAborted } from "../event-loop/when-aborted.ts";
import type { Log } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { Announcer } from "./announcer.ts";
import { JobAnswerer, type ModelSource } from "./computation-executor.ts";
import { DeadLetters } from "./dead-letters.ts";
import type { EdgeClient } from "./edge-client.ts";
import { EventReports } from "./computation-reporter.ts";
import { JobConsumer } from "./message-consumer.ts";
import { MessageLedger } from "./held-messages.ts";
import type { ObjectStore } from "./object-store.ts";
import { Poller } from "./poller.ts";
import { QuietTime } from "./idle-timer.ts";
import type { JobQueue } from "./sqs-queue.ts";
import { TaskRunner, type WorkPolicy } from "./task-runner.ts";

export type AnnouncedModels = ModelSource & {
  states(): ModelState[];
  onChange(listener: () => void): void;
};

export type WorkerOptions = {
  id: string;
  queue: JobQueue;
  /** Null: somebody else sees to it. */
  deadLetters: JobQueue | null;
  edge: EdgeClient;
  objects: ObjectStore;
  /** Gives memory that was freed back to the machine. */
  returnMemory?(): Promise<void>;
  /** There was no job for a while: a time for what would hold jobs up. */
  onQuiet?(): void;
  models: AnnouncedModels;
  policy: WorkPolicy;
  metrics: Metrics;
  log: Log;
  clock: {
    /** Milliseconds since the epoch. */
    wall(): number;
    /** Milliseconds, monotonic. */
    steady(): number;
  };
  /** 0…1, uniform. */
  random(): number;
  /** Whether an error is the device's, so that the job is handed back and not failed. Default: none is. */
  isDeviceFault?(error: unknown): boolean;
};

const pollsMax = 4;
/** A dead letter fails its job within a minute: this, one receive, and one report. */
const deadLetterIntervalMs = 15_000;
const flushMs = 3_000;
const quietMs = 10_000;

export class Worker {
  readonly #options: WorkerOptions;
  readonly #announcing = new AbortController();
  readonly #reporting = new AbortController();
  readonly #runner: TaskRunner;
  readonly #reports: EventReports;
  readonly #ledger: MessageLedger;
  readonly #consumer: JobConsumer;
  readonly #poller: Poller;
  readonly #deadLetters: DeadLetters | null;
  readonly #quiet: QuietTime;
  #announcements: Promise<void> = Promise.resolve();

  constructor(options: WorkerOptions) {
    this.#options = options;
    const { metrics, models, log, clock } = options;
    const backoff = { firstMs: 100, maxMs: 3_000, random: options.random };
    const onRoom = () => this.#poller.wake();
    this.#runner = new TaskRunner({
      policy: options.policy,
      now: clock.steady,
      onBatch: (stats) => observeBatch(metrics, stats),
      onChange: onRoom,
    });
    this.#reports = new EventReports({
      edge: options.edge,
      worker: options.id,
      backoff,
      log,
      now: clock.steady,
      onCancelled: (jobs) => this.#consumer.cancel(jobs),
      onPost: (status, events) => {
        metrics.callbacks.inc({ status });
        metrics.events.inc(events);
      },
      signal: this.#reporting.signal,
    });
    this.#ledger = new MessageLedger({
      queue: options.queue,
      backoff,
      gatherMs: 100,
      now: clock.steady,
      log,
      onError: (action) => metrics.queueErrors.inc({ action }),
    });
    this.#consumer = new JobConsumer({
      answerer: new JobAnswerer({ ...options, models, runner: this.#runner }),
      reports: this.#reports,
      ledger: this.#ledger,
      metrics,
      log,
      wallClock: clock.wall,
      onRoom: () => {
        onRoom();
        this.#quiet.begin();
      },
      isDeviceFault: (error) => options.isDeviceFault?.(error) ?? false,
    });
    this.#quiet = new QuietTime({
      afterMs: quietMs,
      isBusy: () => this.#consumer.size > 0,
      onQuiet: () => options.onQuiet?.(),
    });
    metrics.watch("jobsHeld", () => this.#consumer.size);
    metrics.watch("backlogTokens", () => this.#runner.backlogTokens(Infinity));
    this.#poller = new Poller({
      queue: options.queue,
      pollsMax,
      backoff,
      log,
      room: () => this.#room(),
      onMessages: (messages) => this.#consumer.accept(messages),
      onError: () => metrics.queueErrors.inc({ action: "receive" }),
    });
    this.#deadLetters =
      options.deadLetters === null ? null : this.#openDeadLetters(options.deadLetters);
  }

  #openDeadLetters(queue: JobQueue): DeadLetters {
    const { metrics, log, clock } = this.#options;
    return new DeadLetters({
      queue,
      reports: this.#reports,
      metrics,
      log,
      intervalMs: deadLetterIntervalMs,
      wallClock: clock.wall,
      isHeld: (job) => this.#consumer.holds(job),
    });
  }

  /** Whether the queue was reached at the last try. */
  get queueReachable(): boolean {
    return this.#poller.reachable;
  }

  start(): void {
    const { edge, id, models, log } = this.#options;
    const announcer = new Announcer({
      edge,
      worker: id,
      models: () => models.states(),
      intervalMs: limits.workerAnnounceSeconds * 1_000,
      gatherMs: 200,
      log,
    });
    models.onChange(() => announcer.change());
    this.#announcements = announcer.run(this.#announcing.signal);
    this.#poller.start();
    this.#deadLetters?.start();
  }

  /**
   * Stops receiving and finishes what is in flight; when `deadline` aborts, hands the rest back. Resolves when nothing
   * is held any more.
   */
  async drain(deadline: AbortSignal): Promise<void> {
    const polls = Promise.all([this.#poller.stop(), this.#deadLetters?.stop()]);
    await Promise.race([this.#consumer.finish(), whenAborted(deadline)]);
    this.#consumer.handBack();
    this.#quiet.stop();
    await polls;
    this.#announcing.abort();
    this.#reporting.abort();
    await this.#announcements;
    await this.#ledger.flush(AbortSignal.timeout(flushMs));
  }

  #room(): number {
    const { backlogTokensMax, jobsMax, quantumTokens } = this.#options.policy;
    const backlog = this.#runner.backlogTokens(quantumTokens);
    return backlog >= backlogTokensMax ? 0 : jobsMax - this.#consumer.size;
  }
}

function observeBatch(metrics: Metrics, stats: BatchStats): void {
  metrics.batchSeconds.observe(stats.seconds);
  metrics.batchEntries.observe(stats.entries);
  metrics.batchTokens.inc(stats.tokens);
  metrics.batchTokensPadded.inc(stats.tokensPadded);
}
