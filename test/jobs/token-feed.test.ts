/** What a worker generates, on its way to the edge: over a WebSocket, and without one. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { pino } from "pino";
import type { TokensEvent } from "../../contract/events.ts";
import { ComputationReporter } from "../../gpu-worker/jobs/computation-reporter.ts";
import { type EdgeClient, openEdgeClient } from "../../gpu-worker/jobs/edge-client.ts";
import { StandInEdge, secret } from "./stand-in-edge.ts";

const jobId = `job_3_${"0".repeat(31)}1`;
const shard = 3;
const common = { jobId, tenant: "operator", requestKey: null };

let edge: StandInEdge;
let client: EdgeClient;
let ending: AbortController;
let cancelled: string[];
let reporter: ComputationReporter;

beforeEach(async () => {
  edge = new StandInEdge();
  await edge.start();
  client = openEdgeClient({ url: edge.url, secret, wallClock: Date.now });
  ending = new AbortController();
  cancelled = [];
  reporter = new ComputationReporter({
    edge: client,
    worker: "worker",
    backoff: { firstMs: 10, maxMs: 50, random: Math.random },
    log: pino({ level: "silent" }),
    now: () => performance.now(),
    onCancelled: (ids) => cancelled.push(...ids),
    onPost: () => {},
    signal: ending.signal,
  });
  reporter.begin(shard, jobId);
});

afterEach(async () => {
  ending.abort();
  await client.close();
  await edge.stop();
});

function token(index: number, id = jobId): TokensEvent {
  const at = { input: 0, choice: 0, from: index, tokens: 1, textFrom: index, text: "x" };
  const made = { model: "writer", modelDigest: "digest" };
  return { type: "tokens", ...common, jobId: id, sequence: index + 1, ...made, pieces: [at] };
}

const toldOf = (id = jobId) =>
  edge.events.flatMap((event) =>
    event.type === "tokens" && event.jobId === id ? event.sequence : [],
  );
/** Each once, in the order of their first coming. */
const known = () => [...new Set(toldOf())];
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

function deliver(sequence: number): Promise<void> {
  const error = { code: "internal_error", message: "it broke", param: null } as const;
  return reporter.deliver(shard, { type: "failed", ...common, sequence, error });
}

describe("tokens", () => {
  it("go up on one signed WebSocket, those of a turn together", async () => {
    const other = `${jobId.slice(0, -1)}2`;
    reporter.begin(shard, other);
    reporter.stream(shard, token(0));
    await edge.until(() => toldOf().length === 1);
    for (const index of [1, 2]) {
      reporter.stream(shard, token(index));
      reporter.stream(shard, token(index, other));
    }
    await edge.until(() => toldOf().length === 3);
    expect(edge.sockets).toBe(1);
    expect(edge.badSignatures).toBe(0);
    const last = edge.reports.at(-1);
    expect(last).toMatchObject({ shard, bySocket: true });
    expect(last?.request.events.map((event) => [event.jobId, event.sequence])).toEqual([
      [jobId, 2],
      [other, 2],
      [jobId, 3],
      [other, 3],
    ]);
  });

  it("are followed by the end, on the same way", async () => {
    reporter.stream(shard, token(0));
    await edge.until(() => toldOf().length === 1);
    reporter.stream(shard, token(1));
    await deliver(3);
    expect(edge.reports.every(({ bySocket }) => bySocket)).toBe(true);
    expect(edge.events.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
  });

  it("are posted where no WebSocket is to be had, in order", async () => {
    edge.opensSockets = false;
    for (const index of [0, 1, 2, 3]) {
      reporter.stream(shard, token(index));
      await edge.until(() => toldOf().length > index);
    }
    expect(toldOf()).toEqual(upTo(4));
    expect(edge.reports.some(({ bySocket }) => bySocket)).toBe(false);
    await deliver(9);
  });

  it("go again, in order, where the WebSocket closed before they were acknowledged", async () => {
    edge.answersSockets = false;
    for (const index of [0, 1, 2]) {
      reporter.stream(shard, token(index));
      await edge.until(() => toldOf().length > index);
    }
    edge.answersSockets = true;
    edge.breakSockets();
    await edge.until(() => toldOf().length === 6);
    expect(toldOf()).toEqual([...upTo(3), ...upTo(3)]);
    reporter.stream(shard, token(3));
    await edge.until(() => known().length === 4);
    expect(known()).toEqual(upTo(4));
  });

  it("are in order while WebSockets break again and again", async () => {
    const count = 60;
    for (let index = 0; index < count; index += 1) {
      reporter.stream(shard, token(index));
      if (index % 7 === 0) edge.breakSockets();
      edge.opensSockets = index % 20 < 10;
      await edge.until(() => toldOf().includes(index + 1));
    }
    expect(known()).toEqual(upTo(count));
  });

  it("go again from the first, one by one as they were, where the WebSocket broke after it", async () => {
    const other = `${jobId.slice(0, -1)}2`;
    reporter.begin(shard, other);
    for (const index of [0, 1, 2]) {
      reporter.stream(shard, token(index));
      await edge.until(() => toldOf().length > index);
    }
    reporter.stream(shard, token(0, other));
    await edge.until(() => toldOf(other).length === 1);
    reporter.end(shard, other);
    edge.breakSockets();
    await edge.until(() => toldOf().length === 6);
    expect(toldOf()).toEqual([...upTo(3), ...upTo(3)]);
    // What has ended says nothing more.
    expect(toldOf(other)).toEqual([1]);
  });

  it("past a bound are left out, and the end is delivered", async () => {
    edge.opensSockets = false;
    edge.status = () => 500;
    const long = "x".repeat(1024 * 1024);
    for (let index = 0; index < 12; index += 1) {
      const { pieces, ...rest } = token(index);
      const [piece] = pieces;
      if (piece !== undefined)
        reporter.stream(shard, { ...rest, pieces: [{ ...piece, text: long }] });
    }
    edge.status = () => 200;
    await edge.until(() => toldOf().length >= 7);
    expect(toldOf()).toEqual(upTo(7));
    await deliver(20);
    expect(edge.terminal).toHaveLength(1);
  });
});

describe("a WebSocket", () => {
  it("tells of jobs that are to be given up, of its own accord and in its answers", async () => {
    reporter.stream(shard, token(0));
    await edge.until(() => edge.sockets === 1 && toldOf().length === 1);
    edge.giveUp(jobId);
    await deliver(5);
    expect(cancelled).toEqual([jobId]);
  });

  it("whose end is not answered is closed in time, and the end posted", async () => {
    reporter.stream(shard, token(0));
    await edge.until(() => toldOf().length === 1);
    edge.answersSockets = false;
    await deliver(5);
    expect(edge.reports.at(-1)).toMatchObject({ bySocket: false });
  });

  it("is closed a while after the last that streamed has ended", async () => {
    reporter.stream(shard, token(0));
    await edge.until(() => toldOf().length === 1);
    await deliver(5);
    reporter.end(shard, jobId);
    await edge.until(() => edge.sockets === 0 && edge.terminal.length === 1);
    expect(edge.sockets).toBe(0);
  });
});
