/**
 * GET /healthz (the process lives), /readyz (it can take work; else 503 with the reasons) and /metrics, on a port of
 * their own. Nothing of a caller passes here.
 */
import { type Server, type ServerResponse, createServer } from "node:http";
import type { Metrics } from "./metrics.ts";

export type HealthServer = { port: number; close(): Promise<void> };

export type HealthOptions = {
  /** 0: any free port. */
  port: number;
  host: string;
  /** What keeps the worker from taking work; empty: ready. */
  unready(): string[];
  metrics: Pick<Metrics, "render" | "contentType">;
};

export async function startHealthServer(options: HealthOptions): Promise<HealthServer> {
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://worker").pathname;
    if (request.method !== "GET" && request.method !== "HEAD") {
      return send(response, 405, "text/plain", "only GET\n");
    }
    return answer(path, options, response);
  });
  await listen(server, options);
  const address = server.address();
  return {
    port: address === null || typeof address === "string" ? options.port : address.port,
    close: () => close(server),
  };
}

async function answer(path: string, options: HealthOptions, response: ServerResponse) {
  if (path === "/healthz") return sendJson(response, 200, { status: "ok" });
  if (path === "/readyz") {
    const reasons = options.unready();
    if (reasons.length === 0) return sendJson(response, 200, { status: "ready" });
    return sendJson(response, 503, { status: "not ready", reasons });
  }
  if (path === "/metrics") {
    return send(response, 200, options.metrics.contentType, await options.metrics.render());
  }
  return send(response, 404, "text/plain", "here are /healthz, /readyz and /metrics\n");
}

function sendJson(response: ServerResponse, status: number, body: unknown) {
  send(response, status, "application/json", JSON.stringify(body));
}

function send(response: ServerResponse, status: number, contentType: string, body: string) {
  response.writeHead(status, { "content-type": contentType }).end(body);
}

function listen(server: Server, options: HealthOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.host, resolve);
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
