/**
 * Reports the computations of one shard: POST /internal/shards/{shard}/events, one at a time. Terminal events are
 * posted at once, and those that come while a post is under way share the next; what is not acknowledged is sent again.
 * Interim events (that a computation started, then its latest progress) go with the next post, at the latest with that
 * of the interval. A post of no events still says which computations are in flight, because its answer names those that
 * are no longer wanted.
 *
 * While a computation of the shard streams, a WebSocket takes the place of posts, and tokens go up in it at the end of
 * the turn of the event loop that made them, without waiting for what was sent before. Where it cannot be had they are
 * posted, as interim events.
 *
 * An event that the edge cannot take does not hold up others: a group that fails is sent again in halves, and an event
 * that fails alone is tried again by itself, at growing intervals, between the posts of the others.
 */
import {
  EventsResponse,
  type JobEvent,
  type TerminalEvent,
  type TokensEvent,
} from "#contract/events.ts";
import type { JobId } from "#contract/job-id.ts";
import { limits } from "#contract/limits.ts";
import type { Log } from "../telemetry/log.ts";
import { type Backoff, backoffMs, pause } from "./backoff.ts";
import type { EdgeAnswer, EdgeClient } from "./edge-client.ts";
import { parseJson } from "./parse-json.ts";
import { TokenFeed } from "./token-feed.ts";
import type { QueuedTokens } from "./token-queue.ts";

export type ReporterOptions = {
  edge: Pick<EdgeClient, "post" | "connect">;
  worker: string;
  backoff: Backoff;
  log: Log;
  /** Milliseconds of a monotonic clock. */
  now(): number;
  onCancelled(ids: readonly JobId[]): void;
  /** Called with the answer's status, 0 where none came. */
  onPost(status: number, events: number): void;
  /** Ends all reporting. */
  signal: AbortSignal;
};

/** Started or progress. */
export type InterimEvent = Exclude<JobEvent, TerminalEvent | TokensEvent>;
type Pending = {
  event: TerminalEvent;
  json: string;
  refused: boolean;
  /** How often it was posted and not acknowledged. */
  failures: number;
  /** When it may be sent again, on the steady clock. */
  notBefore: number;
  /** A post of it alone failed: it shares no post with others. */
  alone: boolean;
  resolve(): void;
};
/** Put off: an event that is posted alone failed again, which says nothing of the others. */
type PostOutcome = "done" | "put off" | "failed";
/** What one post carries. */
type Group = {
  pending: Pending[];
  interim: InterimEvent[];
  tokens: readonly QueuedTokens[];
  body: string;
};

const eventsPerPostMax = 500;
const bytesPerPostMax = 2 * 1024 * 1024;
/** What is larger is posted: some platforms take no larger message, and it would hold up tokens. */
const socketCharactersMax = 512 * 1024;

export class ShardReporter {
  readonly #shard: number;
  readonly #options: ReporterOptions;
  readonly #inFlight = new Set<JobId>();
  /** Of each computation, in order: that it started, and its latest progress. */
  readonly #interim = new Map<JobId, readonly InterimEvent[]>();
  readonly #terminal = new Map<JobId, Pending>();
  readonly #feed: TokenFeed;
  #pumping = false;
  #lastPostAt: number;
  /** Posts in a row that failed or left events unacknowledged. */
  #failures = 0;
  /** The last post was of an event that goes alone. */
  #singleLast = false;
  /** Fewer events per post while the edge refuses groups, to find the one it refuses. */
  #groupMax = eventsPerPostMax;

  constructor(shard: number, options: ReporterOptions) {
    this.#shard = shard;
    this.#options = options;
    this.#lastPostAt = options.now();
    this.#feed = new TokenFeed({
      ...options,
      open: () => options.edge.connect(this.#path),
      bodyOf: (tokens) =>
        this.#bodyOf(
          tokens.map(({ json }) => json),
          [],
        ),
      post: () => this.#pump(),
    });
  }

  get idle(): boolean {
    const hasWork = this.#inFlight.size > 0 || this.#terminal.size > 0 || this.#pumping;
    return !hasWork && this.#feed.idle;
  }

  get #path(): string {
    return `/internal/shards/${this.#shard}/events`;
  }

  begin(id: JobId): void {
    this.#inFlight.add(id);
  }

  end(id: JobId): void {
    this.#inFlight.delete(id);
    this.#interim.delete(id);
    this.#feed.end(id);
  }

  report(event: InterimEvent): void {
    const others = this.#interimOf(event).filter(({ type }) => type !== event.type);
    this.#interim.set(event.jobId, [...others, event]);
  }

  stream(event: TokensEvent): void {
    this.#feed.add(event);
  }

  /** Resolves when the shard has acknowledged the event; never, if reporting ends before. */
  deliver(event: TerminalEvent): Promise<void> {
    this.#interim.delete(event.jobId);
    this.#feed.end(event.jobId);
    return new Promise((resolve) => {
      // Of two terminal events of a computation the later counts, and both are done when it is acknowledged.
      const before = this.#terminal.get(event.jobId);
      const resolveBoth = () => {
        before?.resolve();
        resolve();
      };
      this.#terminal.set(event.jobId, pendingOf(event, resolveBoth));
      this.#pump();
    });
  }

  /** Called at intervals: posts if the last post is half of `limits.reportIntervalMs` old, or an event is due. */
  tick(): void {
    const sinceLastMs = this.#options.now() - this.#lastPostAt;
    const reportDue = this.#inFlight.size > 0 && sinceLastMs >= limits.reportIntervalMs / 2;
    if (reportDue || this.#hasDue()) this.#pump();
    this.#feed.tick();
  }

  #pump(): void {
    if (this.#pumping || this.#options.signal.aborted) return;
    this.#pumping = true;
    // After this turn of the event loop, so that computations received together share a post.
    setImmediate(() => {
      this.#postAll()
        .catch((error: unknown) => this.#options.log.error({ error }, "reporting failed"))
        .finally(() => {
          this.#pumping = false;
          if (this.#hasDue()) this.#pump();
        });
    });
  }

  async #postAll(): Promise<void> {
    const { signal, backoff } = this.#options;
    do {
      const outcome = await this.#postOnce();
      if (outcome === "done") this.#failures = 0;
      if (outcome !== "failed") continue;
      this.#failures += 1;
      await pause(backoffMs(backoff, this.#failures - 1), signal);
    } while (this.#hasDue() && !signal.aborted);
  }

  /** Whether a terminal event may be posted now, or tokens that have no other way. */
  #hasDue(): boolean {
    if (this.#feed.hasForPost) return true;
    const now = this.#options.now();
    return [...this.#terminal.values()].some(({ notBefore }) => notBefore <= now);
  }

  async #postOnce(): Promise<PostOutcome> {
    const group = this.#nextGroup();
    const answer = await this.#post(group);
    this.#lastPostAt = this.#options.now();
    if (answer === null) return "failed";
    if (answer.status >= 300) return this.#onRefusal(answer.status, group);
    const parsed = EventsResponse.safeParse(parseJson(answer.body));
    if (!parsed.success) return this.#onRefusal(answer.status, group);
    this.#onAnswer(group, parsed.data);
    return "done";
  }

  #onAnswer(group: Group, { acked, cancelled, refused = [] }: EventsResponse): void {
    this.#groupMax = Math.min(eventsPerPostMax, this.#groupMax * 2);
    this.#forget(group.interim);
    this.#feed.acknowledge(group.tokens);
    for (const { jobId, sequence } of acked) this.#acknowledge(jobId, sequence);
    for (const { index, reason } of refused) {
      const pending = group.pending[index - group.interim.length - group.tokens.length];
      this.#options.log.error({ shard: this.#shard, reason }, "the edge refused an event");
      if (pending !== undefined) this.#replace(pending);
    }
    // Neither acknowledged nor refused: the edge has read them and could not apply them.
    for (const pending of group.pending) if (this.#isOpen(pending)) this.#putOff(pending);
    if (cancelled.length > 0) this.#options.onCancelled(cancelled);
  }

  #nextGroup(): Group {
    const now = this.#options.now();
    const due = [...this.#terminal.values()].filter(({ notBefore }) => notBefore <= now);
    const shared = due.filter(({ alone }) => !alone);
    const single = due.find(({ alone }) => alone);
    // Alternating, so that neither keeps the other waiting.
    this.#singleLast = single !== undefined && (shared.length === 0 || !this.#singleLast);
    if (single !== undefined && this.#singleLast) return this.#groupOf([single], [], []);
    const pending: Pending[] = [];
    let bytes = 0;
    for (const each of shared) {
      bytes += each.json.length;
      if (pending.length > 0 && (pending.length >= this.#groupMax || bytes > bytesPerPostMax))
        break;
      pending.push(each);
    }
    const interim = [...this.#interim.values()].flat().slice(0, eventsPerPostMax);
    return this.#groupOf(pending, interim, this.#feed.takeForPost());
  }

  #groupOf(pending: Pending[], interim: InterimEvent[], tokens: Group["tokens"]): Group {
    const events = [
      ...interim.map((event) => JSON.stringify(event)),
      ...tokens.map(({ json }) => json),
      ...pending.map((p) => p.json),
    ];
    const body = this.#bodyOf(events, [...this.#inFlight].slice(0, 10_000));
    return { pending, interim, tokens, body };
  }

  /** @param events as JSON: most are written already */
  #bodyOf(events: readonly string[], inFlight: readonly JobId[]): string {
    const worker = JSON.stringify(this.#options.worker);
    return `{"worker":${worker},"events":[${events.join(",")}],"inFlight":${JSON.stringify(inFlight)}}`;
  }

  async #post(group: Group): Promise<EdgeAnswer | null> {
    const { edge, log, onPost, signal } = this.#options;
    const events = group.pending.length + group.interim.length + group.tokens.length;
    try {
      const bySocket = this.#feed.isOpen && group.body.length <= socketCharactersMax;
      const answer = bySocket
        ? await this.#feed.request(group.body)
        : await edge.post(this.#path, group.body, signal);
      onPost(answer.status, events);
      return answer;
    } catch (error) {
      onPost(0, events);
      this.#feed.putBack(group.tokens);
      if (this.#failures === 0 && !signal.aborted) {
        log.warn({ error, shard: this.#shard }, "the edge does not answer; trying again");
      }
      return null;
    }
  }

  #interimOf({ jobId }: InterimEvent): readonly InterimEvent[] {
    return this.#interim.get(jobId) ?? [];
  }

  /** These events were delivered. There may be later ones of their computations. */
  #forget(interim: readonly InterimEvent[]): void {
    for (const event of interim) {
      const left = this.#interimOf(event).filter((each) => each !== event);
      if (left.length > 0) this.#interim.set(event.jobId, left);
      else this.#interim.delete(event.jobId);
    }
  }

  #acknowledge(id: JobId, sequence: number): void {
    const pending = this.#terminal.get(id);
    if (pending === undefined || pending.event.sequence !== sequence) return;
    this.#terminal.delete(id);
    pending.resolve();
    if (!pending.alone) return;
    // The failure was not this event's fault, nor that of the others then: they share posts again.
    for (const other of this.#terminal.values()) {
      Object.assign(other, { alone: false, notBefore: -Infinity });
    }
  }

  #isOpen(pending: Pending): boolean {
    return this.#terminal.get(pending.event.jobId) === pending;
  }

  #putOff(pending: Pending): void {
    const { backoff, now } = this.#options;
    pending.notBefore = now() + backoffMs(backoff, pending.failures);
    pending.failures += 1;
  }

  /**
   * A group that is refused, or that the edge cannot process, is sent again in halves. An event refused alone is
   * replaced; one the edge cannot process waits for its own next try.
   */
  #onRefusal(status: number, { pending, interim, tokens }: Group): PostOutcome {
    const { log } = this.#options;
    log.error({ status, shard: this.#shard, events: pending.length }, "the edge refused a report");
    const refused = status === 400 || status === 413;
    if (refused) this.#feed.acknowledge(tokens);
    else this.#feed.putBack(tokens);
    // A status below 300 had no body that could be read.
    if (!refused && status >= 300 && status < 500) return "failed";
    if (refused) this.#forget(interim);
    this.#groupMax = Math.max(1, Math.floor(pending.length / 2));
    const [first] = pending;
    if (first === undefined || pending.length > 1) return "failed";
    if (refused) {
      this.#replace(first);
      return "done";
    }
    this.#putOff(first);
    const known = first.alone;
    first.alone = true;
    return known && !this.#hasSeveralAlone() ? "put off" : "failed";
  }

  /** Several events that fail alone point to a fault of the edge, not of the events. */
  #hasSeveralAlone(): boolean {
    return (
      this.#failures > 0 && [...this.#terminal.values()].filter(({ alone }) => alone).length > 1
    );
  }

  /**
   * An event the edge refuses is replaced by a failed event; where that is refused too, there is nothing left to send.
   */
  #replace(pending: Pending): void {
    if (!this.#isOpen(pending)) return;
    const { event, resolve } = pending;
    this.#terminal.delete(event.jobId);
    if (pending.refused) return resolve();
    const replacement = pendingOf(failureInstead(event), resolve);
    this.#terminal.set(event.jobId, { ...replacement, refused: true });
  }
}

function pendingOf(event: TerminalEvent, resolve: () => void): Pending {
  const json = JSON.stringify(event);
  return { event, json, refused: false, failures: 0, notBefore: -Infinity, alone: false, resolve };
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
