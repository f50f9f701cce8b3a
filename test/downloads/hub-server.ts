/**
 * A local HTTP server that behaves like a Hugging Face hub: large files redirect to a CDN path on another origin with
 * `x-linked-etag`, small ones are served with git's object id, both name the commit. It honours Range and If-Range, and
 * can be told to misbehave: cut a connection, send wrong bytes, name a wrong digest, refuse.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type Fault =
  /** `until`: the connection stays open, with nothing more sent, until then. */
  | { kind: "cut"; afterBytes: number; times: number; until?: Promise<void> }
  | { kind: "wrong-bytes"; times: number }
  | { kind: "wrong-etag" }
  | { kind: "no-digest" }
  | { kind: "status"; status: number; errorCode?: string; times: number };

export type Seen = { method: string; url: string; headers: IncomingMessage["headers"] };

export type HubServer = {
  endpoint: string;
  cdn: string;
  /** Every request that arrived, in order. */
  seen: Seen[];
  /** path → what goes wrong with it. */
  faults: Map<string, Fault>;
  files: Map<string, Buffer>;
  commit: string;
  /** Requires this bearer token of the hub's own paths. */
  token: string | null;
  close: () => Promise<void>;
};

const largeFile = /\.(safetensors|gguf)$/;

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function gitBlob(bytes: Uint8Array): string {
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}

function listen(server: Server): Promise<string> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      resolve(`http://127.0.0.1:${port}`);
    });
  });
}

function shut(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

/** Takes one use of a fault that lasts a number of times. */
function strike(hub: HubServer, path: string, kind: Fault["kind"]): Fault | null {
  const fault = hub.faults.get(path);
  if (fault === undefined || fault.kind !== kind) return null;
  if (!("times" in fault)) return fault;
  if (fault.times <= 0) return null;
  fault.times -= 1;
  return fault;
}

function sendBytes(hub: HubServer, path: string, request: IncomingMessage, to: ServerResponse) {
  const whole = hub.files.get(path) ?? Buffer.alloc(0);
  const etag = `"cdn-${sha256(whole).slice(0, 16)}"`;
  const wrong = strike(hub, path, "wrong-bytes");
  const content = wrong === null ? whole : Buffer.alloc(whole.length, 7);
  const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? "");
  const sameVersion = [undefined, etag].includes(request.headers["if-range"]?.toString());
  const start = range !== null && sameVersion ? Number(range[1]) : 0;
  const part = content.subarray(start);
  to.setHeader("etag", etag);
  to.setHeader("content-length", part.length);
  if (start > 0)
    to.setHeader("content-range", `bytes ${start}-${whole.length - 1}/${whole.length}`);
  to.writeHead(start > 0 ? 206 : 200);
  if (request.method === "HEAD") return to.end();
  const cut = strike(hub, path, "cut");
  if (cut?.kind !== "cut") return to.end(part);
  to.write(part.subarray(0, cut.afterBytes));
  return (cut.until ?? Promise.resolve()).then(() => to.destroy());
}

function answerHub(hub: HubServer, request: IncomingMessage, to: ServerResponse) {
  const match = /^\/(.+)\/resolve\/([^/]+)\/(.+)$/.exec(decodeURIComponent(request.url ?? ""));
  const path = match?.[3] ?? "";
  if (hub.token !== null && request.headers.authorization !== `Bearer ${hub.token}`) {
    return to.writeHead(401, { "x-error-code": "RepoNotFound" }).end();
  }
  const refused = strike(hub, path, "status");
  if (refused?.kind === "status") {
    const headers = refused.errorCode === undefined ? {} : { "x-error-code": refused.errorCode };
    return to.writeHead(refused.status, headers).end();
  }
  const bytes = hub.files.get(path);
  if (bytes === undefined) return to.writeHead(404, { "x-error-code": "EntryNotFound" }).end();
  const fault = hub.faults.get(path)?.kind;
  to.setHeader("x-repo-commit", hub.commit);
  if (!largeFile.test(path)) {
    if (fault !== "no-digest") to.setHeader("etag", `W/"${gitBlob(bytes)}"`);
    return to
      .writeHead(200, { "content-length": bytes.length })
      .end(request.method === "HEAD" ? "" : bytes);
  }
  const digest = fault === "wrong-etag" ? sha256(Buffer.from("something else")) : sha256(bytes);
  if (fault !== "no-digest") to.setHeader("x-linked-etag", `"${digest}"`);
  to.setHeader("x-linked-size", bytes.length);
  return to.writeHead(302, { location: `${hub.cdn}/cdn/${path}` }).end();
}

export async function startHubServer(files: Record<string, Buffer>): Promise<HubServer> {
  const hub: HubServer = {
    endpoint: "",
    cdn: "",
    seen: [],
    faults: new Map(),
    files: new Map(Object.entries(files)),
    commit: "0123456789abcdef0123456789abcdef01234567",
    token: null,
    close: async () => {
      await Promise.all([shut(hubServer), shut(cdnServer)]);
    },
  };
  const record = ({ method = "", url = "", headers }: IncomingMessage) =>
    hub.seen.push({ method, url, headers });
  const hubServer = createServer((request, response) => {
    record(request);
    answerHub(hub, request, response);
  });
  const cdnServer = createServer((request, response) => {
    record(request);
    sendBytes(hub, (request.url ?? "").replace(/^\/cdn\//, ""), request, response);
  });
  hub.endpoint = await listen(hubServer);
  hub.cdn = await listen(cdnServer);
  return hub;
}
