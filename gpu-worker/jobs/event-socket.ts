/**
 * A WebSocket on which events of one shard go up while something streams (contract/events.ts): opened when it is first
 * wanted, closed when it was not for a while. While it is not open, whoever has events posts them; where it cannot be
 * opened, it is tried again at growing intervals. What was sent and not answered when it closes is the sender's again.
 */
import { EventsResponse } from "#contract/events.ts";
import { type Backoff, backoffMs } from "./backoff.ts";
import type { EdgeSocket } from "./edge-client.ts";
import { parseJson } from "./parse-json.ts";

export type EventSocketOptions = {
  open: () => EdgeSocket;
  backoff: Backoff;
  /** Milliseconds of a monotonic clock. */
  now: () => number;
  /** It has opened, or it has closed or could not be opened. */
  onChange: () => void;
  /** Jobs that nobody waits for any more, told of their own accord. */
  onCancelled: (response: EventsResponse) => void;
  /** Ends it for good. */
  signal: AbortSignal;
};

const answerMsMax = 10_000;
const connectMsMax = 5_000;
/** An opening that lasted so long was none of a row of failures. */
const steadyMs = 10_000;

/** An answer, as it came and as it was read. */
export type SocketAnswer = { text: string; response: EventsResponse };
type Asked = {
  resolve: (answer: SocketAnswer) => void;
  reject: (error: Error) => void;
  at: number;
};

export class EventSocket {
  readonly #options: EventSocketOptions;
  readonly #asked = new Map<number, Asked>();
  #socket: EdgeSocket | null = null;
  #isOpen = false;
  #openedAt = -Infinity;
  #messages = 0;
  #failures = 0;
  #notBefore = -Infinity;

  constructor(options: EventSocketOptions) {
    this.#options = options;
    options.signal.addEventListener("abort", () => this.close(), { once: true });
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get isClosed(): boolean {
    return this.#socket === null;
  }

  /** Opens it, unless it is open, on its way, or failed a moment ago. */
  want(): void {
    const { open, now, signal } = this.#options;
    if (this.#socket !== null || now() < this.#notBefore || signal.aborted) return;
    const socket = open();
    this.#socket = socket;
    this.#openedAt = now();
    socket.addEventListener("open", () => {
      if (this.#socket !== socket) return socket.close();
      this.#isOpen = true;
      this.#openedAt = now();
      this.#options.onChange();
    });
    socket.addEventListener("message", ({ data }) => this.#hear(socket, String(data)));
    const lose = () => this.#lose(socket);
    socket.addEventListener("close", lose);
    socket.addEventListener("error", lose);
  }

  /** @param body an `EventsRequest` as JSON @returns its answer; rejects where the socket closes before */
  request(body: string): Promise<SocketAnswer> {
    this.#messages += 1;
    const message = this.#messages;
    return new Promise((resolve, reject) => {
      this.#asked.set(message, { resolve, reject, at: this.#options.now() });
      this.#socket?.send(`{"message":${message},${body.slice(1)}`);
    });
  }

  /** Called at intervals: one that does not open, or does not answer, is given up. */
  tick(): void {
    if (this.#socket === null) return;
    const now = this.#options.now();
    const [first] = this.#asked.values();
    const unanswered = first !== undefined && now - first.at > answerMsMax;
    const unopened = !this.#isOpen && now - this.#openedAt > connectMsMax;
    if (unanswered || unopened) this.close();
  }

  close(): void {
    const socket = this.#socket;
    if (socket === null) return;
    this.#lose(socket);
    socket.close();
  }

  #hear(socket: EdgeSocket, text: string): void {
    const parsed = EventsResponse.safeParse(parseJson(text));
    if (!parsed.success) return this.close();
    if (this.#socket !== socket) return;
    const { data: response } = parsed;
    const { message } = response;
    if (message === undefined) return this.#options.onCancelled(response);
    this.#asked.get(message)?.resolve({ text, response });
    this.#asked.delete(message);
  }

  #lose(socket: EdgeSocket): void {
    if (this.#socket !== socket) return;
    const { backoff, now } = this.#options;
    const wasSteady = this.#isOpen && now() - this.#openedAt >= steadyMs;
    this.#failures = wasSteady ? 0 : this.#failures + 1;
    this.#notBefore = now() + (wasSteady ? 0 : backoffMs(backoff, this.#failures - 1));
    this.#socket = null;
    this.#isOpen = false;
    const unanswered = [...this.#asked.values()];
    this.#asked.clear();
    for (const { reject } of unanswered) reject(new Error("the WebSocket closed"));
    this.#options.onChange();
  }
}
