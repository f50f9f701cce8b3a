/**
 * Takes what computations of one shard generate to it at once, on a WebSocket that is open while any of them streams.
 * What one turn of the event loop makes goes as one message, without waiting for what was sent before; where there is
 * no WebSocket, it is posted.
 */
import type { TokensEvent } from "#contract/events.ts";
import type { JobId } from "#contract/job-id.ts";
import { EventSocket, type EventSocketOptions } from "./event-socket.ts";
import { type QueuedTokens, TokenQueue } from "./token-queue.ts";

export type TokenFeedOptions = Omit<EventSocketOptions, "onChange" | "onCancelled"> & {
  onCancelled(ids: readonly JobId[]): void;
  /** @returns an `EventsRequest` as JSON */
  bodyOf: (tokens: readonly QueuedTokens[]) => string;
  /** There are tokens that have no other way. */
  post: () => void;
};

/** After the last computation that streamed has ended. */
const idleMs = 5_000;

export class TokenFeed {
  readonly #options: TokenFeedOptions;
  readonly #socket: EventSocket;
  readonly #tokens = new TokenQueue();
  readonly #streaming = new Set<JobId>();
  #flushing = false;
  /** Tokens are being posted: what comes after them waits, or it would be there before them. */
  #posting = false;
  #lastEndAt = -Infinity;
  #wasOpen = false;

  constructor(options: TokenFeedOptions) {
    this.#options = options;
    this.#socket = new EventSocket({
      ...options,
      onChange: () => this.#onSocketChange(),
      onCancelled: ({ cancelled }) => options.onCancelled(cancelled),
    });
  }

  get idle(): boolean {
    return this.#socket.isClosed;
  }

  /** Whether `request` has a way. */
  get isOpen(): boolean {
    return this.#socket.isOpen;
  }

  /** Whether tokens wait for a post. */
  get hasForPost(): boolean {
    return this.#tokens.hasUnsent && this.#socket.isClosed;
  }

  add(event: TokensEvent): void {
    this.#streaming.add(event.jobId);
    this.#tokens.add(event);
    this.#socket.want();
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  /** The computation has ended, or its end is on the way, after what is sent now: that says all. */
  end(id: JobId): void {
    if (this.#streaming.has(id) && this.#socket.isOpen) this.#flush();
    this.#tokens.drop(id);
    if (this.#streaming.delete(id)) this.#lastEndAt = this.#options.now();
  }

  /** As `EdgeClient.post`, by the WebSocket. */
  async request(body: string): Promise<{ status: number; body: string }> {
    const { text } = await this.#socket.request(body);
    return { status: 200, body: text };
  }

  takeForPost(): QueuedTokens[] {
    if (!this.hasForPost) return [];
    this.#posting = true;
    return this.#tokens.take();
  }

  /** These were posted. */
  acknowledge(tokens: readonly QueuedTokens[]): void {
    if (tokens.length === 0) return;
    this.#tokens.acknowledge(tokens);
    this.#posting = false;
    this.#flush();
  }

  /** A post of these failed. */
  putBack(tokens: readonly QueuedTokens[]): void {
    if (tokens.length === 0) return;
    this.#tokens.putBack();
    this.#posting = false;
    this.#flush();
  }

  /** Called at intervals. */
  tick(): void {
    this.#socket.tick();
    if (this.#streaming.size > 0) this.#socket.want();
    else if (this.#options.now() - this.#lastEndAt >= idleMs) this.#socket.close();
  }

  #flush(): void {
    if (this.#posting) return;
    if (this.#socket.isClosed && this.#tokens.hasUnsent) return this.#options.post();
    while (this.#socket.isOpen && this.#tokens.hasUnsent) void this.#send(this.#tokens.take());
  }

  async #send(tokens: readonly QueuedTokens[]): Promise<void> {
    try {
      const { response } = await this.#socket.request(this.#options.bodyOf(tokens));
      this.#tokens.acknowledge(tokens);
      if (response.cancelled.length > 0) this.#options.onCancelled(response.cancelled);
    } catch {
      // The WebSocket closed: what it had sent goes again.
    }
  }

  #onSocketChange(): void {
    const { isOpen } = this.#socket;
    // The shard may have been struck down, with all that it was told.
    if (this.#wasOpen && !isOpen) this.#tokens.tellAnew();
    else if (!isOpen && !this.#posting) this.#tokens.putBack();
    this.#wasOpen = isOpen;
    this.#flush();
  }
}
