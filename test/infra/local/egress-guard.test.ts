import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  createEgressGuard,
  guardHeader,
  isPrivateAddress,
} from "../../../infra/local/egress-guard.ts";

type Received = { method: string | undefined; body: string; header: unknown };

async function target(status = 200, answer = "hello") {
  const received: Received[] = [];
  const server = createServer(async (request, response) => {
    const { method, headers } = request;
    received.push({ method, body: await text(request), header: headers["webhook-id"] });
    response.writeHead(status, { location: "/elsewhere" }).end(answer);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { port: address.port, received };
}

function post(url: string) {
  return { url, method: "POST", headers: { "webhook-id": "msg_1" }, body: Buffer.from("body") };
}

describe("the egress guard", () => {
  it("passes an allowed target on, whole", async () => {
    const { port, received } = await target(201);
    const guard = createEgressGuard(new Set([`127.0.0.1:${port}`]));
    const answer = await guard(post(`http://127.0.0.1:${port}/hook`));
    expect(answer.status).toBe(201);
    expect(answer.headers[guardHeader]).toBeUndefined();
    expect(Buffer.from(answer.body).toString()).toBe("hello");
    expect(received).toEqual([{ method: "POST", body: "body", header: "msg_1" }]);
  });

  it("follows no redirect", async () => {
    const { port, received } = await target(302);
    const guard = createEgressGuard(new Set([`127.0.0.1:${port}`]));
    expect((await guard(post(`http://127.0.0.1:${port}/`))).status).toBe(302);
    expect(received).toHaveLength(1);
  });

  it("reads no more of an answer than it needs", async () => {
    const { port } = await target(200, "x".repeat(5_000_000));
    const guard = createEgressGuard(new Set([`127.0.0.1:${port}`]));
    const { status, body } = await guard(post(`http://127.0.0.1:${port}/`));
    expect([status, body.length]).toEqual([200, 64 * 1024]);
  });

  it.each([
    "http://127.0.0.1:PORT/",
    "https://127.0.0.1:PORT/",
    "https://localhost:PORT/",
    "https://2130706433:PORT/",
    "https://0x7f.1:PORT/",
    "https://[::1]:PORT/",
    "https://[::ffff:127.0.0.1]:PORT/",
    "http://example.com/",
  ])("does not reach %s", async (url) => {
    const { port, received } = await target();
    const guard = createEgressGuard(new Set(["127.0.0.1:1", ""]));
    const answer = await guard(post(url.replace("PORT", String(port))));
    expect(answer.headers[guardHeader]).toBe("no-answer");
    expect(received).toEqual([]);
  });

  it("opens one port of a host, not all", async () => {
    const { port, received } = await target();
    const guard = createEgressGuard(new Set([`127.0.0.1:${port - 1}`]));
    expect((await guard(post(`http://127.0.0.1:${port}/`))).status).toBe(403);
    expect(received).toEqual([]);
  });
});

it.each([
  ["10.1.2.3", true],
  ["172.31.255.255", true],
  ["172.32.0.1", false],
  ["169.254.169.254", true],
  ["100.64.0.1", true],
  ["8.8.8.8", false],
  ["fe80::1", true],
  ["fd00::1", true],
  ["::ffff:10.0.0.1", true],
  ["::ffff:8.8.8.8", false],
  ["2606:4700::1111", false],
])("%s is private: %s", (address, expected) => {
  expect(isPrivateAddress(address)).toBe(expected);
});
