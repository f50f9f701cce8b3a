/**
 * Puts the parts of the consuming side together and runs them: poller → consumer → executor → reporter → held
 * messages, and the announcements. Opens nothing itself: queue, edge, object store and models are given, and closed by
 * the giver.
 */
import type { ModelState } from "#contract/models.ts";
import { limits } from "#contract/limits.ts";
import type { BatchStats } from "../batching/batch-queue.ts";
import { whenAborted } from "../event-loop/when-aborted.ts";
import type { Log } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { Announcer } from "./announcer.ts";
import {
  ComputationExecutor,
  type LeasableModels,
  type PlanTuning,
} from "./computation-executor.ts";
import { DeadLetters } from "./dead-letters.ts";
import type { EdgeClient } from "./edge-client.ts";
import { ComputationReporter } from "./computation-reporter.ts";
import { MessageConsumer } from "./message-consumer.ts";
import { HeldMessages } from "./held-messages.ts";
import type { ObjectStore } from "./object-store.ts";
import { Poller } from "./poller.ts";
import { IdleTimer } from "./idle-timer.ts";
import type { JobQueue } from "./sqs-queue.ts";
import { TaskRunner, type TaskRunnerOptions, type WorkerPolicy } from "./task-runner.ts";

export type AnnouncedModels = LeasableModels & {
  states(): ModelState[];
  onChange(listener: () => void): void;
};

export type WorkerOptions = {
  id: string;
  queue: JobQueue;
  /** Null: it is not read here. */
  deadLetters: JobQueue | null;
  edge: EdgeClient;
  objects: ObjectStore;
  /** What a tuning job would do and cost. */
  planTuning?: PlanTuning;
  /** What makes the tokens of a decoder's requests. */
  openEngine?: TaskRunnerOptions["openEngine"];
  /** Gives memory that was freed back to the machine. */
  returnMemory?(): Promise<void>;
  /** Nothing was computed for a while: a time for what would hold up computations. */
  onIdle?(): void;
  models: AnnouncedModels;
  policy: WorkerPolicy;
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
  /**
   * Whether an error is the device's, so that the message is handed back and the computation not failed. Default: none
   * is.
   */
  isDeviceFault?(error: unknown): boolean;
};

const pollsMax = 4;
/** A dead letter is reported as failed within a minute: this, one receive, and one post. */
const deadLetterIntervalMs = 15_000;
const flushMs = 3_000;
const idleMs = 10_000;

export class Worker {
  readonly #options: WorkerOptions;
  readonly #announcing = new AbortController();
  readonly #reporting = new AbortController();
  readonly #runner: TaskRunner;
  readonly #reporter: ComputationReporter;
  readonly #messages: HeldMessages;
  readonly #consumer: MessageConsumer;
  readonly #poller: Poller;
  readonly #deadLetters: DeadLetters | null;
  readonly #idle: IdleTimer;
  #announcements: Promise<void> = Promise.resolve();

  constructor(options: WorkerOptions) {
    this.#options = options;
    const { metrics, models, log, clock } = options;
    const backoff = { firstMs: 100, maxMs: 3_000, random: options.random };
    const onCapacity = () => this.#poller.wake();
    this.#runner = new TaskRunner({
      policy: options.policy,
      now: clock.steady,
      log: options.log,
      ...(options.openEngine && { openEngine: options.openEngine }),
      onBatch: (stats) => observeBatch(metrics, stats),
      onChange: onCapacity,
    });
    this.#reporter = new ComputationReporter({
      edge: options.edge,
      worker: options.id,
      backoff,
      log,
      now: clock.steady,
      onCancelled: (ids) => this.#consumer.cancel(ids),
      onPost: (status, events) => {
        metrics.callbacks.inc({ status });
        metrics.events.inc(events);
      },
      signal: this.#reporting.signal,
    });
    this.#messages = new HeldMessages({
      queue: options.queue,
      backoff,
      gatherMs: 100,
      now: clock.steady,
      log,
      onError: (action) => metrics.queueErrors.inc({ action }),
    });
    this.#consumer = new MessageConsumer({
      executor: new ComputationExecutor({ ...options, models, runner: this.#runner }),
      reporter: this.#reporter,
      messages: this.#messages,
      metrics,
      log,
      wallClock: clock.wall,
      onEnd: () => {
        onCapacity();
        this.#idle.restart();
      },
      isDeviceFault: (error) => options.isDeviceFault?.(error) ?? false,
    });
    this.#idle = new IdleTimer({
      afterMs: idleMs,
      isBusy: () => this.#consumer.size > 0,
      onIdle: () => options.onIdle?.(),
    });
    metrics.watch("jobsHeld", () => this.#consumer.size);
    metrics.watch("backlogTokens", () => this.#runner.backlogTokens(Infinity));
    this.#poller = new Poller({
      queue: options.queue,
      pollsMax,
      backoff,
      log,
      capacity: () => this.#capacity(),
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
      reporter: this.#reporter,
      metrics,
      log,
      intervalMs: deadLetterIntervalMs,
      wallClock: clock.wall,
      isInFlight: (id) => this.#consumer.isInFlight(id),
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
    this.#idle.stop();
    await polls;
    this.#announcing.abort();
    this.#reporting.abort();
    await this.#announcements;
    await this.#runner.close();
    await this.#messages.flush(AbortSignal.timeout(flushMs));
  }

  #capacity(): number {
    const { backlogTokensMax, computationsMax, quantumTokens } = this.#options.policy;
    const backlog = this.#runner.backlogTokens(quantumTokens);
    return backlog >= backlogTokensMax ? 0 : computationsMax - this.#consumer.size;
  }
}

function observeBatch(metrics: Metrics, stats: BatchStats): void {
  metrics.batchSeconds.observe(stats.seconds);
  metrics.batchEntries.observe(stats.entries);
  metrics.batchTokens.inc(stats.tokens);
  metrics.batchTokensPadded.inc(stats.tokensPadded);
}
