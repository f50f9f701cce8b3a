/** Asynchronous jobs, cancellation, the sync window and webhooks, through HTTP on the whole running stack. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { Webhook } from "svix";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type RunningStack, startStack } from "../../infra/local/start-stack.ts";

/** A job, an answer or an error, as far as these tests look at it. */
type Body = {
  id: string;
  object: string;
  status: string;
  progress: { completed: number; total: number } | null;
  output: unknown;
  webhook_secret: string;
  error: { code: string; param: string | null };
};
type Delivery = { headers: Record<string, string>; body: string };

let stack: RunningStack;
let receiver: Server;
const deliveries: Delivery[] = [];
let failuresLeft = 2;

beforeAll(async () => {
  receiver = createServer(async (request, response) => {
    const body = await text(request);
    failuresLeft -= 1;
    if (failuresLeft >= 0) {
      response.writeHead(500).end();
      return;
    }
    deliveries.push({ headers: request.headers as Record<string, string>, body });
    response.writeHead(200).end();
  });
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  stack = await startStack({
    env: {
      LLM_OS_WEBHOOK_ALLOW: `127.0.0.1:${receiverPort()}`,
      WEBHOOK_RETRY_SECONDS: "0,0.2,0.2,0.2",
    },
  });
});

afterAll(async () => {
  await stack.stop();
  receiver.close();
});

function receiverPort(): number {
  return (receiver.address() as AddressInfo).port;
}

async function post(path: string, body: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(`${stack.url}${path}`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      authorization: `Bearer ${stack.operatorKey}`,
      ...headers,
    },
    body: JSON.stringify(body),
  });
  return { response, body: (await response.json()) as Body };
}

async function job(id: string) {
  const response = await fetch(`${stack.url}/v1/jobs/${id}`, {
    headers: { authorization: `Bearer ${stack.operatorKey}` },
  });
  return { status: response.status, body: (await response.json()) as Body };
}

const request = { model: "all-MiniLM-L6-v2", input: "an asynchronous sentence" };

describe("an asynchronous job", () => {
  it("is accepted, found at its location, and ends with the body of the sync call", async () => {
    const accepted = await post("/v1/embeddings", request, { prefer: "respond-async" });
    expect(accepted.response.status).toBe(202);
    expect(accepted.response.headers.get("location")).toBe(`/v1/jobs/${accepted.body.id}`);
    expect(accepted.body).toMatchObject({
      object: "job",
      task: "feature-extraction",
      output: null,
    });
    await vi.waitFor(
      async () => expect((await job(accepted.body.id)).body.status).toBe("succeeded"),
      60_000,
    );
    const sync = await post("/v1/embeddings", request);
    expect((await job(accepted.body.id)).body.output).toEqual(sync.body);
  });

  it("ends with a large result, which streams: to the caller, from the cache, and of the job", async () => {
    const input = Array.from(
      { length: 70 },
      (_, index) => `large ${index} ${"word ".repeat(1_000)}`,
    );
    const large = { model: request.model, input };
    const accepted = await post("/v1/tokenize", large, { prefer: "respond-async" });
    await vi.waitFor(
      async () => expect((await job(accepted.body.id)).body.status).toBe("succeeded"),
      60_000,
    );
    const sync = await post("/v1/tokenize", large);
    expect(sync.response.headers.get("x-cache")).toBe("hit");
    expect(sync.response.headers.get("content-length")).toBeNull();
    expect(JSON.stringify(sync.body).length).toBeGreaterThan(1024 * 1024);
    expect((await job(accepted.body.id)).body.output).toEqual(sync.body);
  });

  it("is not found by anybody else", async () => {
    const accepted = await post("/v1/embeddings", request, { prefer: "respond-async" });
    const response = await fetch(`${stack.url}/v1/jobs/${accepted.body.id}`);
    expect(response.status).toBe(404);
  });

  it("answers at once what ends within Prefer: wait", async () => {
    const waited = await post(
      "/v1/embeddings",
      { ...request, input: "waited for" },
      { prefer: "wait=10" },
    );
    expect(waited.response.status).toBe(200);
    expect(waited.body.object).toBe("list");
  });

  it("cannot be cancelled once it ended", async () => {
    const accepted = await post("/v1/embeddings", request, { prefer: "respond-async" });
    await vi.waitFor(
      async () => expect((await job(accepted.body.id)).body.status).toBe("succeeded"),
      60_000,
    );
    const cancelled = await post(`/v1/jobs/${accepted.body.id}/cancel`, {});
    expect(cancelled.response.status).toBeLessThan(500);
    expect((await job(accepted.body.id)).body.status).toBe("succeeded");
  });
});

describe("while no worker runs", () => {
  it("answers 202 after Prefer: wait, and a cancelled job stays cancelled when the worker is back", async () => {
    await stack.pause("worker");
    const waited = await post(
      "/v1/embeddings",
      { ...request, input: "nobody is there" },
      { prefer: "wait=1" },
    );
    expect(waited.response.status).toBe(202);
    const cancelled = await post(`/v1/jobs/${waited.body.id}/cancel`, {});
    expect(cancelled.body.status).toBe("canceled");
    await stack.resume("worker");
    const later = await post("/v1/embeddings", { ...request, input: "somebody is back" });
    expect(later.response.status).toBe(200);
    expect((await job(waited.body.id)).body.status).toBe("canceled");
  });
});

describe("a webhook", () => {
  it("reaches an endpoint that was down for two tries exactly once, and verifies", async () => {
    const url = `http://127.0.0.1:${receiverPort()}/hook`;
    const accepted = await post(
      "/v1/embeddings",
      { ...request, input: "tell me", webhook: url, webhook_events_filter: ["completed"] },
      { prefer: "respond-async" },
    );
    expect(accepted.response.status).toBe(202);
    const secret: string = accepted.body.webhook_secret;
    await vi.waitFor(() => expect(deliveries).toHaveLength(1), 60_000);
    const [delivery] = deliveries;
    // throws where the signature is not that of the body
    new Webhook(secret).verify(delivery?.body ?? "", delivery?.headers ?? {});
    expect(() => new Webhook(secret).verify("{}", delivery?.headers ?? {})).toThrow();
    expect(JSON.parse(delivery?.body ?? "")).toMatchObject({
      type: "job.completed",
      data: { id: accepted.body.id, status: "succeeded" },
    });
    expect(failuresLeft).toBe(-1);
    // whatever else the endpoint would be sent comes before the next job's event
    await post(
      "/v1/embeddings",
      { ...request, input: "next", webhook: url, webhook_events_filter: ["completed"] },
      { prefer: "respond-async" },
    );
    await vi.waitFor(() => expect(deliveries).toHaveLength(2), 60_000);
    expect(JSON.parse(deliveries[1]?.body ?? "{}").data.id).not.toBe(accepted.body.id);
  });

  it.each([
    "http://169.254.169.254/",
    "https://localhost/",
    "https://2130706433/",
    "https://[::ffff:127.0.0.1]/",
    "https://example.com:22/",
    "ftp://example.com/",
  ])("is refused for %s", async (webhook) => {
    const { response, body } = await post(
      "/v1/embeddings",
      { ...request, webhook },
      { prefer: "respond-async" },
    );
    expect(response.status).toBe(400);
    expect(body.error).toMatchObject({ code: "invalid_value", param: "webhook" });
  });
});

describe("a long job", () => {
  it("shows how far it is, and its webhook hears of its start before its end", async () => {
    const input = Array.from({ length: 240 }, (_, at) => `long job ${at} ${"word ".repeat(200)}`);
    const webhook = `http://127.0.0.1:${receiverPort()}/hook`;
    const events = ["start", "output", "completed"];
    const { body: accepted } = await post(
      "/v1/embeddings",
      { model: request.model, input, webhook, webhook_events_filter: events },
      { prefer: "respond-async" },
    );
    const seen: number[] = [];
    await vi.waitFor(
      async () => {
        const { status, progress } = (await job(accepted.id)).body;
        if (progress !== null) {
          expect(progress.total).toBe(input.length);
          seen.push(progress.completed);
        }
        expect(status).toBe("succeeded");
      },
      { timeout: 120_000, interval: 50 },
    );
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(new Set(seen).size).toBeGreaterThan(1);
    expect((await job(accepted.id)).body.progress).toBeNull();
    const told = () => {
      const all = deliveries.map(({ body }) => JSON.parse(body));
      return all.filter(({ data }) => data.id === accepted.id).map(({ type }) => type);
    };
    const types = events.map((event) => `job.${event}`);
    await vi.waitFor(() => expect(told()).toEqual(types), 60_000);
  });
});
