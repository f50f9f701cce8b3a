/**
 * The WebSockets on which workers report to a shard while they stream to it. Each message is taken as a POST's body is,
 * by itself: what one holds that is nothing hurts no other connection. They are accepted plainly, not for hibernation:
 * an object that has readers cannot sleep, and one that was put away has nobody to tell; a worker whose socket closes
 * opens another, or posts.
 */
import * as z from "zod";
import { EventsEnvelope, type EventsResponse } from "#contract/events.ts";
import type { JobId } from "#contract/job-id.ts";
import { limits } from "#contract/limits.ts";

/** Close codes of RFC 6455. */
const closeCodes = { notText: 1003, notAMessage: 1007, tooLarge: 1009, ourFault: 1011 } as const;

/** Jobs of one worker, after which those named before are forgotten. */
const heldMax = 10_000;

export class WorkerSockets {
  readonly #take: (request: EventsEnvelope) => Promise<EventsResponse>;
  /** With the jobs that the worker said it holds. */
  readonly #open = new Map<WebSocket, ReadonlySet<string>>();

  constructor(take: (request: EventsEnvelope) => Promise<EventsResponse>) {
    this.#take = take;
  }

  /** @returns the answer to a handshake whose signature was checked */
  accept(): Response {
    const { 0: client, 1: server } = new WebSocketPair();
    server.accept();
    const held = new Set<string>();
    this.#open.set(server, held);
    server.addEventListener("message", ({ data }) => void this.#hear(server, held, data));
    const forget = () => this.#open.delete(server);
    server.addEventListener("close", forget);
    server.addEventListener("error", forget);
    return new Response(null, { status: 101, webSocket: client });
  }

  /** Nobody wants the job any more. @returns whether a worker that holds it was told */
  tellGivenUp(id: JobId): boolean {
    const answer: EventsResponse = { acked: [], cancelled: [id] };
    const holders = [...this.#open].filter(([, held]) => held.has(id));
    return holders.map(([socket]) => this.#send(socket, answer)).some(Boolean);
  }

  async #hear(socket: WebSocket, held: Set<string>, data: string | ArrayBuffer): Promise<void> {
    if (typeof data !== "string") return this.#close(socket, closeCodes.notText, "text alone");
    if (data.length > limits.callbackBytesMax) {
      return this.#close(socket, closeCodes.tooLarge, "too large");
    }
    try {
      const request = EventsEnvelope.parse(JSON.parse(data));
      const answer = await this.#take(request);
      this.#note(held, request, answer);
      const { message } = request;
      this.#send(socket, message === undefined ? answer : { ...answer, message });
    } catch (error) {
      const theirs = error instanceof SyntaxError || error instanceof z.ZodError;
      const reason = theirs ? "no EventsRequest" : "not taken";
      if (!theirs) console.error(JSON.stringify({ event: "events.failed", reason: String(error) }));
      this.#close(socket, theirs ? closeCodes.notAMessage : closeCodes.ourFault, reason);
    }
  }

  #note(held: Set<string>, { inFlight }: EventsEnvelope, { acked }: EventsResponse): void {
    if (held.size > heldMax) held.clear();
    for (const id of inFlight) held.add(id);
    // A message of tokens alone names no others of the jobs that its worker holds.
    for (const { jobId } of acked) held.add(jobId);
  }

  /** @returns whether it was sent */
  #send(socket: WebSocket, answer: EventsResponse): boolean {
    if (!this.#open.has(socket)) return false;
    try {
      socket.send(JSON.stringify(answer));
      return true;
    } catch {
      this.#open.delete(socket);
      return false;
    }
  }

  #close(socket: WebSocket, code: number, reason: string): void {
    this.#open.delete(socket);
    socket.close(code, reason);
  }
}
