/** Signed POSTs to the edge over kept-alive connections, and WebSockets signed alike. One try per call. */
import { createHmac } from "node:crypto";
import { Pool, WebSocket } from "undici";
import { signatureHeader, signedPrefix, timestampHeader } from "#contract/signature.ts";

export type EdgeAnswer = { status: number; body: string };

export type EdgeClient = {
  /** @throws where no answer came */
  post(path: string, body: string, signal: AbortSignal): Promise<EdgeAnswer>;
  /** A WebSocket on its way: its events tell what becomes of it. */
  connect(path: string): EdgeSocket;
  close(): Promise<void>;
};

/** What of a WebSocket is used. */
export type EdgeSocket = Pick<WebSocket, "addEventListener" | "send" | "close">;

export type EdgeClientOptions = {
  url: string;
  secret: string;
  /** Milliseconds since the epoch. */
  wallClock(): number;
};

export function openEdgeClient(options: EdgeClientOptions): EdgeClient {
  const { origin, pathname } = new URL(options.url);
  const base = pathname.replace(/\/$/, "");
  const pool = new Pool(origin, {
    connections: 16,
    pipelining: 1,
    connect: { timeout: 5_000 },
    headersTimeout: 30_000,
    bodyTimeout: 30_000,
  });
  return {
    async post(path, body, signal) {
      const fullPath = base + path;
      const timestampSeconds = Math.floor(options.wallClock() / 1_000);
      const answer = await pool.request({
        method: "POST",
        path: fullPath,
        headers: {
          "content-type": "application/json",
          [timestampHeader]: String(timestampSeconds),
          [signatureHeader]: sign(options.secret, timestampSeconds, { path: fullPath, body }),
        },
        body,
        signal,
      });
      return { status: answer.statusCode, body: await answer.body.text() };
    },
    connect(path) {
      const fullPath = base + path;
      const timestampSeconds = Math.floor(options.wallClock() / 1_000);
      const signed = { path: fullPath, body: "", method: "GET" };
      return new WebSocket(`${origin.replace(/^http/, "ws")}${fullPath}`, {
        headers: {
          [timestampHeader]: String(timestampSeconds),
          [signatureHeader]: sign(options.secret, timestampSeconds, signed),
        },
      });
    },
    close: () => pool.destroy(),
  };
}

/** The signature header's value; of a POST, unless a method is named. */
export function sign(
  secret: string,
  timestampSeconds: number,
  request: { path: string; body: string; method?: string },
): string {
  const prefix = signedPrefix(timestampSeconds, request.method ?? "POST", request.path);
  return `v1=${createHmac("sha256", secret).update(prefix).update(request.body).digest("hex")}`;
}
