/**
 * Reports the jobs of one shard: POST /internal/shards/{shard}/events, one at a time. Terminal events go at once, and
 * those that come up while a post is under way share the next; what is not acknowledged is sent again. Started and
 * progress events ride along or wait for the interval's report, the latest of a job only. A post of no events still
 * says which jobs are in flight, because its answer names the jobs nobody waits for any more.
 */
import { type JobEvent, EventsResponse } from "#contract/events.ts";
import type { JobId } from "#contract/job-id.ts";
import { limits } from "#contract/limits.ts";
import type { Log } from "../telemetry/log.ts";
import { type Backoff, backoffMs, pause } from "./backoff.ts";
import type { EdgeAnswer, EdgeClient } from "./edge-client.ts";

export type ReporterOptions = {
  edge: Pick<EdgeClient, "post">;
  worker: string;
  backoff: Backoff;
  log: Log;
  /** Milliseconds of a monotonic clock. */
  now(): number;
  onCancelled(jobs: readonly JobId[]): void;
  /** Called with the answer's status, 0 where none came. */
  onPost(status: number, events: number): void;
  /** Ends all reporting. */
  signal: AbortSignal;
};

type TerminalEvent = Extract<JobEvent, { type: "succeeded" | "failed" }>;
type NoteEvent = Exclude<JobEvent, TerminalEvent>;
type Pending = { event: TerminalEvent; json: string; refused: boolean; resolve(): void };
/** What one post carries. */
type Group = { pending: Pending[]; notes: NoteEvent[]; body: string };

const eventsPerPostMax = 500;
const bytesPerPostMax = 2 * 1024 * 1024;

export class ShardReporter {
  readonly #shard: number;
  readonly #options: ReporterOptions;
  readonly #inFlight = new Set<JobId>();
  readonly #notes = new Map<JobId, NoteEvent>();
  readonly #terminal = new Map<JobId, Pending>();
  #pumping = false;
  #lastPostAt: number;
  /** Posts in a row that failed or left events unacknowledged. */
  #failures = 0;
  /** Fewer events per post while the edge refuses groups, to find the one it refuses. */
  #groupMax = eventsPerPostMax;

  constructor(shard: number, options: ReporterOptions) {
    this.#shard = shard;
    this.#options = options;
    this.#lastPostAt = options.now();
  }

  get idle(): boolean {
    return this.#inFlight.size === 0 && this.#terminal.size === 0 && !this.#pumping;
  }

  hold(job: JobId): void {
    this.#inFlight.add(job);
  }

  drop(job: JobId): void {
    this.#inFlight.delete(job);
    this.#notes.delete(job);
  }

  note(event: NoteEvent): void {
    this.#notes.set(event.jobId, event);
  }

  /** Resolves when the shard has acknowledged the event; never, if reporting ends before. */
  deliver(event: TerminalEvent): Promise<void> {
    this.#notes.delete(event.jobId);
    return new Promise((resolve) => {
      const json = JSON.stringify(event);
      this.#terminal.set(event.jobId, { event, json, refused: false, resolve });
      this.#pump();
    });
  }

  /** Called every now and then: posts if the last post is `limits.reportIntervalMs` old. */
  tick(): void {
    const quietMs = this.#options.now() - this.#lastPostAt;
    if (this.#inFlight.size > 0 && quietMs >= limits.reportIntervalMs / 2) this.#pump();
  }

  #pump(): void {
    if (this.#pumping || this.#options.signal.aborted) return;
    this.#pumping = true;
    // After this turn of the event loop, so that the jobs of one receive share a post.
    setImmediate(() => {
      this.#postAll()
        .catch((error: unknown) => this.#options.log.error({ error }, "reporting failed"))
        .finally(() => {
          this.#pumping = false;
          if (this.#terminal.size > 0) this.#pump();
        });
    });
  }

  async #postAll(): Promise<void> {
    const { signal, backoff } = this.#options;
    do {
      const settled = await this.#postOnce();
      this.#failures = settled ? 0 : this.#failures + 1;
      if (!settled) await pause(backoffMs(backoff, this.#failures - 1), signal);
    } while (this.#terminal.size > 0 && !signal.aborted);
  }

  /** @returns whether the edge has dealt with all that was sent */
  async #postOnce(): Promise<boolean> {
    const group = this.#nextGroup();
    const answer = await this.#post(group);
    this.#lastPostAt = this.#options.now();
    if (answer === null) return false;
    if (answer.status >= 300) return this.#onRefusal(answer.status, group);
    const parsed = EventsResponse.safeParse(parseJson(answer.body));
    if (!parsed.success) {
      this.#options.log.error({ shard: this.#shard }, "the edge's answer could not be read");
      return false;
    }
    this.#groupMax = Math.min(eventsPerPostMax, this.#groupMax * 2);
    for (const note of group.notes) {
      if (this.#notes.get(note.jobId) === note) this.#notes.delete(note.jobId);
    }
    for (const { jobId, sequence } of parsed.data.acked) this.#acknowledge(jobId, sequence);
    if (parsed.data.cancelled.length > 0) this.#options.onCancelled(parsed.data.cancelled);
    return group.pending.every(({ event }) => this.#terminal.get(event.jobId)?.event !== event);
  }

  #nextGroup(): Group {
    const pending: Pending[] = [];
    let bytes = 0;
    for (const each of this.#terminal.values()) {
      bytes += each.json.length;
      if (pending.length > 0 && (pending.length >= this.#groupMax || bytes > bytesPerPostMax))
        break;
      pending.push(each);
    }
    const notes = [...this.#notes.values()].slice(0, eventsPerPostMax);
    const events = [...notes.map((note) => JSON.stringify(note)), ...pending.map((p) => p.json)];
    const inFlight = [...this.#inFlight].slice(0, 10_000);
    const body = `{"worker":${JSON.stringify(this.#options.worker)},"events":[${events.join(",")}],"inFlight":${JSON.stringify(inFlight)}}`;
    return { pending, notes, body };
  }

  async #post(group: Group): Promise<EdgeAnswer | null> {
    const { edge, log, onPost, signal } = this.#options;
    const events = group.pending.length + group.notes.length;
    try {
      const answer = await edge.post(`/internal/shards/${this.#shard}/events`, group.body, signal);
      onPost(answer.status, events);
      return answer;
    } catch (error) {
      onPost(0, events);
      if (this.#failures === 0 && !signal.aborted) {
        log.warn({ error, shard: this.#shard }, "the edge does not answer; trying again");
      }
      return null;
    }
  }

  #acknowledge(job: JobId, sequence: number): void {
    const pending = this.#terminal.get(job);
    if (pending === undefined || pending.event.sequence !== sequence) return;
    this.#terminal.delete(job);
    pending.resolve();
  }

  /** A refused group is sent again in halves; an event refused alone is replaced by a failure, and that by nothing. */
  #onRefusal(status: number, { pending, notes }: Group): boolean {
    const { log } = this.#options;
    log.error({ status, shard: this.#shard, events: pending.length }, "the edge refused a report");
    if (status !== 400 && status !== 413) return false;
    for (const note of notes) this.#notes.delete(note.jobId);
    this.#groupMax = Math.max(1, Math.floor(pending.length / 2));
    const [first] = pending;
    if (first === undefined || pending.length > 1) return false;
    const { event } = first;
    this.#terminal.delete(event.jobId);
    if (first.refused) {
      first.resolve();
      return true;
    }
    const replacement = failureInstead(event);
    const json = JSON.stringify(replacement);
    this.#terminal.set(event.jobId, { ...first, event: replacement, json, refused: true });
    return true;
  }
}

function failureInstead(event: TerminalEvent): TerminalEvent {
  return {
    type: "failed",
    jobId: event.jobId,
    sequence: event.sequence + 1,
    tenant: event.tenant,
    requestKey: event.requestKey,
    error: {
      code: "internal_error",
      message:
        "The result could not be delivered. Try again, with fewer inputs if there were many.",
      param: null,
    },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
