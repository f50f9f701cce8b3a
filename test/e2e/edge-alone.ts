/**
 * The edge on a real workerd of its own, as infra/local/edge.ts runs it, with everything outside it in this process: a
 * queue whose messages are answered as a test decides, an object store that keeps results and only counts the rest, and
 * webhook receivers. For tests of what the edge holds in memory while fifty callers lean on it.
 */
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { buffer } from "node:stream/consumers";
import process from "node:process";
import type { JobResult } from "../../contract/result-document.ts";
import { JobMessage } from "../../contract/job-message.ts";
import type { ObjectReference } from "../../contract/object-reference.ts";
import { resultDocument } from "../../contract/result-document.ts";
import { type EdgeClient, openEdgeClient } from "../../gpu-worker/jobs/edge-client.ts";
import { cacheFolder } from "../../infra/local/cache-folder.ts";
import { openEdgeBundle } from "../../infra/local/edge-bundle.ts";
import { limitHeap } from "../../infra/local/limit-heap.ts";
import { freePorts, loopback } from "../../infra/local/free-ports.ts";

const callbackSecret = "secret-of-the-test";
const operatorKey = "operator-of-the-test";

export type Hook = { path: string; body: string };
/** What the worker that is not there makes of a message. */
export type Answer = (message: JobMessage) => JobResult | ObjectReference;

/** The part of Miniflare used here. */
type MiniflareModule = {
  Miniflare: new (options: unknown) => { ready: Promise<URL>; dispose(): Promise<void> };
  convertV4MiniflareOptions: (options: unknown) => unknown;
  Log: new (level: number) => unknown;
  LogLevel: { ERROR: number };
};

export class EdgeAlone {
  readonly url: string;
  readonly outsideUrl: string;
  readonly hooks: Hook[] = [];
  answer: Answer = () => {
    throw new Error("no answer is set");
  };
  /** Bytes of inputs that were put away. */
  inputBytes = 0;
  readonly #objects = new Map<string, Buffer>();
  readonly #client: EdgeClient;
  readonly #close: (() => Promise<unknown> | void)[] = [];

  private constructor(port: number, outsidePort: number) {
    this.url = `http://${loopback}:${port}`;
    this.outsideUrl = `http://${loopback}:${outsidePort}`;
    this.#client = openEdgeClient({ url: this.url, secret: callbackSecret, wallClock: Date.now });
  }

  static async start(): Promise<EdgeAlone> {
    const [port = 0] = await freePorts(1);
    const outside = createServer();
    await new Promise<void>((resolve) => outside.listen(0, loopback, resolve));
    const edge = new EdgeAlone(port, (outside.address() as AddressInfo).port);
    outside.on("request", (request, response) => void edge.#serve(request, response));
    const state = mkdtempSync(path.join(tmpdir(), "edge-alone-"));
    limitHeap(process.env);
    const miniflare = loadMiniflare();
    const { modules, options } = await openEdgeBundle(cacheFolder(state, process.env), () => {});
    const running = new miniflare.Miniflare(
      miniflare.convertV4MiniflareOptions({
        host: loopback,
        port: 0,
        cf: false,
        log: new miniflare.Log(miniflare.LogLevel.ERROR),
        telemetry: { enabled: false },
        resourcePersistencePath: path.join(state, "edge"),
        workers: [
          {
            ...options,
            name: "edge",
            modulesRoot: modules,
            modules: readdirSync(modules)
              .filter((file) => file.endsWith(".js"))
              .map((file) => ({ type: "ESModule", path: path.join(modules, file) })),
            bindings: { ...options.bindings, ...edge.#bindings() },
            unsafeDirectSockets: [{ host: loopback, port }],
          },
        ],
      }),
    );
    await running.ready;
    edge.#close.push(
      () => edge.#client.close(),
      () => running.dispose(),
      () => void outside.closeAllConnections(),
      () => void outside.close(),
      () => rmSync(state, { recursive: true, force: true }),
    );
    return edge;
  }

  async stop(): Promise<void> {
    for (const close of this.#close) await close();
  }

  /** As the operator. */
  post(
    route: string,
    body: string,
    { headers = {}, signal }: { headers?: Record<string, string>; signal?: AbortSignal } = {},
  ): Promise<Response> {
    return fetch(`${this.url}${route}`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        authorization: `Bearer ${operatorKey}`,
        ...headers,
      },
      body,
      ...(signal === undefined ? {} : { signal }),
    });
  }

  /** Puts the document of a result away, as a worker does. */
  keep(name: string, result: JobResult): ObjectReference {
    const bytes = Buffer.from(resultDocument(result));
    const key = `jobs/results/${name}.ndjson`;
    this.#objects.set(key, bytes);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    return { key, bytes: bytes.byteLength, sha256 };
  }

  /** The most memory that workerd has held so far, MB. */
  residentPeak(): number {
    const status = readFileSync(`/proc/${workerdPid()}/status`, "utf8");
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1_024;
  }

  #bindings(): Record<string, string> {
    return {
      SQS_ENDPOINT: `${this.outsideUrl}/queue`,
      SQS_QUEUE_URL: `${this.outsideUrl}/queue/jobs`,
      S3_ENDPOINT: this.outsideUrl,
      S3_BUCKET: "files",
      AWS_ACCESS_KEY_ID: "test",
      AWS_SECRET_ACCESS_KEY: "test",
      S3_ACCESS_KEY_ID: "test",
      S3_SECRET_ACCESS_KEY: "test",
      CALLBACK_SECRET: callbackSecret,
      OPERATOR_KEY: operatorKey,
      WEBHOOK_ALLOW: new URL(this.outsideUrl).host,
      SHARDS: "2",
    };
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const route = request.url ?? "";
    if (request.headers["x-amz-target"] !== undefined) {
      const { Entries } = JSON.parse((await buffer(request)).toString()) as {
        Entries: { Id: string; MessageBody: string }[];
      };
      response.end(JSON.stringify({ Successful: Entries.map(({ Id }) => ({ Id })) }));
      for (const { MessageBody } of Entries)
        void this.#work(JobMessage.parse(JSON.parse(MessageBody)));
    } else if (route.startsWith("/files/") && request.method === "PUT") {
      for await (const chunk of request) this.inputBytes += chunk.length;
      response.end();
    } else if (route.startsWith("/files/")) {
      const found = this.#objects.get(route.slice("/files/".length));
      response.writeHead(found === undefined ? 404 : 200).end(found);
    } else {
      this.hooks.push({ path: route, body: (await buffer(request)).toString() });
      response.end();
    }
  }

  async #work(message: JobMessage): Promise<void> {
    const { id: jobId, shard, tenant, requestKey } = message;
    const made = this.answer(message);
    const result = "sha256" in made ? made : resultDocument(made);
    const modelDigest = "digest-of-the-test";
    const usage = { promptTokens: 1 };
    const common = { jobId, sequence: 1, tenant, requestKey };
    const events = [{ ...common, type: "succeeded", modelDigest, usage, result }];
    const body = JSON.stringify({ worker: "worker-of-the-test", events, inFlight: [] });
    await this.#client.post(`/internal/shards/${shard}/events`, body, AbortSignal.timeout(60_000));
  }
}

/** Miniflare as wrangler has it: a second copy would bring a second workerd. */
function loadMiniflare(): MiniflareModule {
  const wrangler = createRequire(import.meta.url).resolve("wrangler/package.json");
  return createRequire(wrangler)("miniflare");
}

/** The one child of this process that is a workerd. */
function workerdPid(): number {
  const tasks = readdirSync("/proc/self/task");
  const children = tasks.flatMap((task) =>
    readFileSync(`/proc/self/task/${task}/children`, "utf8").split(" ").filter(Boolean),
  );
  const found = children.find((pid) => /workerd/.test(readFileSync(`/proc/${pid}/comm`, "utf8")));
  if (found === undefined) throw new Error(`no workerd among the children of ${process.pid}`);
  return Number(found);
}
