/** A real HTTP server in the edge's place: checks signatures, keeps what is reported, and misbehaves on demand. */
import { createHmac } from "node:crypto";
import { type IncomingMessage, type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createRequire } from "node:module";
import type { Duplex } from "node:stream";
import { EventsRequest, type JobEvent } from "../../contract/events.ts";
import { WorkerAnnouncement } from "../../contract/models.ts";
import { signatureHeader, signedPrefix, timestampHeader } from "../../contract/signature.ts";

export const secret = "stand-in-secret";

type Report = { shard: number; request: EventsRequest; bySocket: boolean };

/** The part of the package `ws` that is used here; it has no types of its own. */
type Socket = {
  on(event: "message", listener: (data: Buffer) => void): void;
  on(event: "close", listener: () => void): void;
  send(text: string): void;
  terminate(): void;
};
type SocketServer = {
  handleUpgrade(
    message: IncomingMessage,
    connection: Duplex,
    head: Buffer,
    done: (socket: Socket) => void,
  ): void;
};
const ws: { WebSocketServer: new (options: { noServer: true }) => SocketServer } = createRequire(
  import.meta.url,
)("ws");

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
  /** Whether a WebSocket is given to who asks for one. */
  opensSockets = true;
  /** Whether what comes by a WebSocket is answered. */
  answersSockets = true;
  readonly #sockets = new Set<Socket>();
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
    server.on("upgrade", (message, connection, head) => this.#upgrade(message, connection, head));
    await new Promise<void>((resolve) => server.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    this.breakSockets();
    if (server === null) return;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** WebSockets that are open. */
  get sockets(): number {
    return this.#sockets.size;
  }

  breakSockets(): void {
    for (const socket of this.#sockets) socket.terminate();
  }

  /** Of its own accord, on every WebSocket. */
  giveUp(id: string): void {
    for (const socket of this.#sockets) socket.send(JSON.stringify({ acked: [], cancelled: [id] }));
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

  #upgrade(message: IncomingMessage, connection: Duplex, head: Buffer): void {
    const signed = this.#signed(message, "");
    if (!signed) this.badSignatures += 1;
    if (!signed || !this.opensSockets) {
      connection.end("HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n");
      return;
    }
    const shard = shardOf(message);
    new ws.WebSocketServer({ noServer: true }).handleUpgrade(
      message,
      connection,
      head,
      (socket) => {
        this.#sockets.add(socket);
        socket.on("close", () => {
          this.#sockets.delete(socket);
          for (const check of this.#watchers) check();
        });
        socket.on("message", (data) => {
          const request = EventsRequest.parse(JSON.parse(data.toString()));
          this.reports.push({ shard, request, bySocket: true });
          const answer = { ...this.#answerTo(request), message: request.message };
          if (this.answersSockets) socket.send(JSON.stringify(answer));
          for (const check of this.#watchers) check();
        });
        for (const check of this.#watchers) check();
      },
    );
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
    const shard = shardOf(message);
    const request = EventsRequest.parse(JSON.parse(body));
    const status = this.status(request);
    if (status !== 200) return { status, body: "{}" };
    this.reports.push({ shard, request, bySocket: false });
    return { status: 200, body: JSON.stringify(this.#answerTo(request)) };
  }

  #answerTo(request: EventsRequest) {
    const acked = request.events
      .filter((event) => this.acknowledges(event) && !this.refuses(event))
      .map(({ jobId, sequence }) => ({ jobId, sequence }));
    const cancelled = request.inFlight.filter((id) => this.cancelled.has(id));
    const refused = request.events.flatMap((event, index) =>
      this.refuses(event) ? [{ index, reason: "not an event" }] : [],
    );
    return { acked, cancelled, refused };
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

function shardOf({ url = "" }: IncomingMessage): number {
  return Number(/^\/internal\/shards\/(\d+)\/events$/.exec(url)?.[1]);
}
