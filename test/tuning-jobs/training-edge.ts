/**
 * An HTTP server in the edge's place, as far as training workers see it: checks signatures, hands out leases, keeps
 * what is reported.
 */
import { createHmac } from "node:crypto";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { signatureHeader, signedPrefix, timestampHeader } from "../../contract/signature.ts";
import {
  TuningClaim,
  type TuningOrder,
  TuningReport,
  type TuningReportAnswer,
} from "../../contract/training/tuning-job.ts";
import { secret } from "../jobs/stand-in-edge.ts";

export class TrainingEdge {
  readonly claims: TuningClaim[] = [];
  readonly reports: TuningReport[] = [];
  badSignatures = 0;
  /** What is there to do, by job; a claim takes a new lease of it. */
  readonly orders = new Map<string, TuningOrder>();
  /** Decides what a report is answered. */
  action: (report: TuningReport) => TuningReportAnswer["action"] = () => "continue";
  /** Of the next requests. */
  status = 200;
  readonly #server: Server;
  #watchers: (() => void)[] = [];

  constructor() {
    this.#server = createServer((request, response) => {
      void this.#answer(request).then(([status, body]) => {
        response.writeHead(status, { "content-type": "application/json" });
        response.end(JSON.stringify(body));
        for (const look of this.#watchers) look();
      });
    });
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** What was heard, and how to misbehave. */
  forget(): void {
    this.claims.length = 0;
    this.reports.length = 0;
    this.status = 200;
    this.action = () => "continue";
  }

  get events() {
    return this.reports.flatMap(({ events }) => events);
  }

  get outcomes() {
    return this.reports.flatMap(({ outcome }) => outcome ?? []);
  }

  /** Resolves when the condition holds; looks after each request. */
  async until(condition: () => boolean): Promise<void> {
    await new Promise<void>((resolve) => {
      const look = () => {
        if (!condition()) return;
        this.#watchers = this.#watchers.filter((each) => each !== look);
        resolve();
      };
      this.#watchers.push(look);
      look();
    });
  }

  async #answer(request: IncomingMessage): Promise<[number, object]> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    if (!isSigned(request, body)) {
      this.badSignatures += 1;
      return [401, {}];
    }
    if (this.status !== 200) return [this.status, {}];
    if (request.url === "/internal/training/claim") {
      const claim = TuningClaim.parse(JSON.parse(body));
      this.claims.push(claim);
      return [200, { order: this.#lease(claim) }];
    }
    const report = TuningReport.parse(JSON.parse(body));
    this.reports.push(report);
    const action = this.action(report);
    // One whose process died is still to be done.
    if (report.outcome !== null && report.outcome.kind !== "lost") this.orders.delete(report.id);
    return [200, { action }];
  }

  #lease({ id }: TuningClaim): TuningOrder | null {
    const order = this.orders.get(id);
    if (order === undefined) return null;
    const lease = `lease-${this.claims.length}`;
    return { ...order, lease, attempt: this.claims.filter((each) => each.id === id).length };
  }
}

function isSigned(request: IncomingMessage, body: string): boolean {
  const prefix = signedPrefix(
    Number(request.headers[timestampHeader]),
    request.method ?? "",
    request.url ?? "",
  );
  const hex = createHmac("sha256", secret)
    .update(prefix + body)
    .digest("hex");
  return request.headers[signatureHeader] === `v1=${hex}`;
}
