/** A real HTTP server in the edge's place: checks signatures, keeps what is reported, and misbehaves on demand. */
import { createHmac } from "node:crypto";
import { type IncomingMessage, type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { EventsRequest, type JobEvent } from "../../contract/events.ts";
import { WorkerAnnouncement } from "../../contract/models.ts";
import { signatureHeader, signedPrefix, timestampHeader } from "../../contract/signature.ts";

export const secret = "stand-in-secret";

type Report = { shard: number; request: EventsRequest };

export class StandInEdge {
  readonly reports: Report[] = [];
  readonly announcements: WorkerAnnouncement[] = [];
  readonly cancelled = new Set<string>();
  /** Decides the status of the next reports; 200 unless it says otherwise. */
  status: (request: EventsRequest) => number = () => 200;
  /** Decides whether an event is acknowledged. */
  acknowledges: (event: JobEvent) => boolean = () => true;
  /** Decides whether an event is refused by its place in the group. */
  refuses: (event: JobEvent) => boolean = () => false;
  badSignatures = 0;
  #server: Server | null = null;
  #port = 0;
  #watchers: (() => void)[] = [];

  /** Starts, or starts again on the same port. */
  async start(): Promise<void> {
    const server = createServer((request, response) => {
      void this.#handle(request).then(({ status, body }) => {
        response.writeHead(status, { "content-type": "application/json" }).end(body);
        for (const check of this.#watchers) check();
      });
    });
    await new Promise<void>((resolve) => server.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get events(): JobEvent[] {
    return this.reports.flatMap(({ request }) => request.events);
  }

  /** Ends of jobs that were answered, repeats included. */
  get terminal() {
    return this.events.filter((event) => event.type === "succeeded" || event.type === "failed");
  }

  /** Ends of jobs that were given up, repeats included. */
  get givenUp() {
    return this.events.filter((event) => event.type === "cancelled");
  }

  /** Resolves when the condition holds; looks after each request. */
  async until(condition: () => boolean): Promise<void> {
    await new Promise<void>((resolve) => {
      const check = () => {
        if (!condition()) return;
        this.#watchers = this.#watchers.filter((each) => each !== check);
        resolve();
      };
      this.#watchers.push(check);
      check();
    });
  }

  async #handle(message: IncomingMessage): Promise<{ status: number; body: string }> {
    const chunks: Buffer[] = [];
    for await (const chunk of message) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString("utf8");
    if (!this.#signed(message, body)) {
      this.badSignatures += 1;
      return { status: 401, body: "{}" };
    }
    const path = message.url ?? "";
    if (path === "/internal/workers") {
      this.announcements.push(WorkerAnnouncement.parse(JSON.parse(body)));
      return { status: 200, body: "{}" };
    }
    // No WebSocket is to be had here, as with an older edge: everything is posted.
    if (message.method === "GET") return { status: 426, body: "{}" };
    const shard = Number(/^\/internal\/shards\/(\d+)\/events$/.exec(path)?.[1]);
    const request = EventsRequest.parse(JSON.parse(body));
    const status = this.status(request);
    if (status !== 200) return { status, body: "{}" };
    this.reports.push({ shard, request });
    const acked = request.events
      .filter((event) => this.acknowledges(event) && !this.refuses(event))
      .map(({ jobId, sequence }) => ({ jobId, sequence }));
    const cancelled = request.inFlight.filter((id) => this.cancelled.has(id));
    const refused = request.events.flatMap((event, index) =>
      this.refuses(event) ? [{ index, reason: "not an event" }] : [],
    );
    return { status: 200, body: JSON.stringify({ acked, cancelled, refused }) };
  }

  #signed(message: IncomingMessage, body: string): boolean {
    const timestamp = Number(message.headers[timestampHeader]);
    const prefix = signedPrefix(timestamp, message.method ?? "", message.url ?? "");
    const hex = createHmac("sha256", secret)
      .update(prefix + body)
      .digest("hex");
    return message.headers[signatureHeader] === `v1=${hex}`;
  }
}
