/** What an ECS task asks of its agent, here a server in its place. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { pino } from "pino";
import { expect, it, onTestFinished } from "vitest";
import { taskProtection } from "../../gpu-worker/tuning-jobs/task-protection.ts";

it("is protected for as long as a job may take, and then not", async () => {
  const asked: unknown[] = [];
  let status = 200;
  const agent = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method, url } = request;
    asked.push([method, url, JSON.parse(String(Buffer.concat(chunks)))]);
    response.writeHead(status).end("{}");
  });
  await new Promise<void>((resolve) => agent.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void agent.close());
  const warned: object[] = [];
  const log = Object.assign(pino({ level: "silent" }), {
    warn: (fields: object) => void warned.push(fields),
  });
  const url = `http://127.0.0.1:${(agent.address() as AddressInfo).port}`;
  const protect = taskProtection(url, log);
  await protect(75.2);
  await protect(1e6);
  await protect(0);
  const path = "/task-protection/v1/state";
  expect(asked).toEqual([
    ["PUT", path, { ProtectionEnabled: true, ExpiresInMinutes: 76 }],
    ["PUT", path, { ProtectionEnabled: true, ExpiresInMinutes: 2_880 }],
    ["PUT", path, { ProtectionEnabled: false }],
  ]);
  expect(warned).toEqual([]);
  status = 500;
  await protect(1);
  expect(warned).toHaveLength(1);
});
