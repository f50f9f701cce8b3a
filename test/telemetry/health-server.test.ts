/** The worker's own port, over HTTP. */
import { afterEach, describe, expect, it } from "vitest";
import { type HealthServer, startHealthServer } from "../../gpu-worker/telemetry/health-server.ts";
import { createMetrics } from "../../gpu-worker/telemetry/metrics.ts";

let server: HealthServer;
afterEach(() => server.close());

async function start(unready: () => string[] = () => []) {
  const metrics = createMetrics();
  server = await startHealthServer({ port: 0, host: "127.0.0.1", unready, metrics });
  const get = (path: string, init?: RequestInit) =>
    fetch(`http://127.0.0.1:${server.port}${path}`, init);
  return { get, metrics };
}

describe("the health server", () => {
  it("says that the process lives", async () => {
    const { get } = await start(() => ["starting"]);
    const answer = await get("/healthz");
    expect(answer.status).toBe(200);
    expect(await answer.json()).toEqual({ status: "ok" });
  });

  it("says what keeps the worker from taking work", async () => {
    const reasons = ["the queue does not answer"];
    const { get } = await start(() => reasons);
    const before = await get("/readyz");
    expect(before.status).toBe(503);
    expect(await before.json()).toEqual({ status: "not ready", reasons });
    reasons.pop();
    expect((await get("/readyz")).status).toBe(200);
  });

  it("serves the figures in Prometheus' form", async () => {
    const { get, metrics } = await start();
    metrics.jobsFinished.inc({ task: "noop", outcome: "succeeded" });
    const answer = await get("/metrics");
    expect(answer.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
    const text = await answer.text();
    expect(text).toContain('llm_os_jobs_finished_total{task="noop",outcome="succeeded"} 1');
    expect(text).toContain("llm_os_worker_nodejs_eventloop_lag_p99_seconds");
  });

  it("knows no other path and no other method", async () => {
    const { get } = await start();
    expect((await get("/")).status).toBe(404);
    expect((await get("/healthz", { method: "POST" })).status).toBe(405);
  });

  it("refuses a port that is taken", async () => {
    await start();
    const metrics = createMetrics();
    const options = { port: server.port, host: "127.0.0.1", unready: () => [], metrics };
    await expect(startHealthServer(options)).rejects.toThrow(/EADDRINUSE/);
  });
});
