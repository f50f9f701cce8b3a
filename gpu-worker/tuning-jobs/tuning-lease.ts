/**
 * What is told to the edge of a job under its lease: events as they come, how far it is at an interval, the outcome in
 * the end. What was not heard is told again; what the edge says of the job interrupts it.
 */
import {
  leaseNumbers,
  tellingBounds,
  type TuningCheckpoint,
  type TuningEvent,
  type TuningOrder,
  type TuningOutcome,
  type TuningProgress,
  type TuningReport,
  TuningReportAnswer,
} from "#contract/training/tuning-job.ts";
import { cutText } from "#contract/cut-text.ts";
import { type Backoff, backoffMs, pause } from "../jobs/backoff.ts";
import type { EdgeClient } from "../jobs/edge-client.ts";
import { parseJson } from "../jobs/parse-json.ts";
import type { Log } from "../telemetry/log.ts";

/** `shutdown`: of this process. The others are the edge's words. */
export type InterruptionKind = Exclude<TuningReportAnswer["action"], "continue"> | "shutdown";

export class Interruption extends Error {
  readonly kind: InterruptionKind;

  constructor(kind: InterruptionKind) {
    super(`the job is interrupted: ${kind}`);
    this.kind = kind;
  }
}

export type LeaseOptions = {
  edge: Pick<EdgeClient, "post">;
  order: Pick<TuningOrder, "id" | "tenant" | "lease">;
  worker: string;
  backoff: Backoff;
  /** Milliseconds since the epoch. */
  wallClock(): number;
  log: Log;
};

export const reportsPath = "/internal/training/reports";

/** Refusals that may pass: a clock or a secret that is being mended, an edge that is busy. */
const passing = new Set([401, 403, 408, 429]);

export class TuningLease {
  readonly #options: LeaseOptions;
  readonly #interrupting = new AbortController();
  readonly #ending = new AbortController();
  #news = new AbortController();
  #events: TuningEvent[] = [];
  #checkpoints: TuningCheckpoint[] = [];
  #progress: TuningProgress | null = null;
  #sequence = 0;
  #failures = 0;
  #reporting: Promise<void> = Promise.resolve();

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /** Aborts with an `Interruption`. */
  get signal(): AbortSignal {
    return this.#interrupting.signal;
  }

  get interruption(): InterruptionKind | null {
    const { reason } = this.signal;
    return reason instanceof Interruption ? reason.kind : null;
  }

  interrupt(kind: InterruptionKind): void {
    this.#interrupting.abort(new Interruption(kind));
  }

  /** Reports until `end`. */
  start(): void {
    this.#reporting = this.#report();
  }

  tell(
    message: string,
    data: TuningEvent["data"] = {},
    { type = "message", level = "info" }: Partial<Pick<TuningEvent, "type" | "level">> = {},
  ): void {
    const at = this.#options.wallClock();
    const words = cutText(message, tellingBounds.messageCharactersMax);
    this.#events.push({ sequence: ++this.#sequence, at, level, message: words, type, data });
    this.#news.abort();
  }

  /** An evaluation that was the best so far. */
  keep(step: number, metrics: TuningCheckpoint["metrics"]): void {
    this.#checkpoints.push({ step, at: this.#options.wallClock(), metrics });
    this.#news.abort();
  }

  advance(progress: TuningProgress): void {
    this.#progress = progress;
  }

  /** Resolves when the edge has heard of the outcome or wants none, or the signal aborts. */
  async end(outcome: TuningOutcome | null, signal: AbortSignal): Promise<void> {
    this.#ending.abort();
    this.#news.abort();
    await this.#reporting;
    if (outcome === null) return;
    while (this.interruption !== "stop" && !signal.aborted) {
      const isLast = this.#events.length <= tellingBounds.eventsMax;
      const heard = await this.#post(isLast ? outcome : null, signal);
      if (heard && isLast) return;
      if (!heard) await pause(backoffMs(this.#options.backoff, this.#failures), signal);
    }
  }

  async #report(): Promise<void> {
    const ended = this.#ending.signal;
    while (!ended.aborted && this.interruption !== "stop") {
      this.#news = new AbortController();
      await this.#post(null, ended);
      const more = this.#events.length > 0 && this.#failures === 0;
      const waitMs = more ? 0 : leaseNumbers.reportSeconds * 1_000;
      const until = this.#failures === 0 ? [ended, this.#news.signal] : [ended];
      await pause(waitMs, AbortSignal.any(until));
    }
  }

  /** @returns whether it was heard */
  async #post(outcome: TuningOutcome | null, signal: AbortSignal): Promise<boolean> {
    const { edge, order, worker, log } = this.#options;
    const { id, tenant, lease } = order;
    const events = this.#events.slice(0, tellingBounds.eventsMax);
    const checkpoints = this.#checkpoints.slice(0, tellingBounds.checkpointsMax);
    const told = { events, checkpoints, progress: this.#progress, outcome };
    const report: TuningReport = { id, tenant, worker, lease, ...told };
    try {
      const { status, body } = await edge.post(reportsPath, JSON.stringify(report), signal);
      if (status >= 400 && status < 500 && !passing.has(status)) {
        log.error({ job: id, status, body }, "a report was refused, so the job is left");
        this.interrupt("stop");
        return false;
      }
      if (status >= 300) throw new Error(`the edge answered ${status}`);
      this.#events = this.#events.slice(events.length);
      this.#checkpoints = this.#checkpoints.slice(checkpoints.length);
      this.#failures = 0;
      const { action } = TuningReportAnswer.parse(parseJson(body));
      if (action !== "continue") this.interrupt(action);
      return true;
    } catch (error) {
      if (this.#failures === 0 && !signal.aborted) log.warn({ error, job: id }, "not reported");
      this.#failures += 1;
      return false;
    }
  }
}
