/** The consuming side against a real queue server and a real HTTP server in the edge's place. */
import { resultDocument } from "../../contract/result-document.ts";
import { parseResultDocument } from "../contract/parse-result-document.ts";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { limits } from "../../contract/limits.ts";
import { jsonParts } from "../../gpu-worker/jobs/json-parts.ts";
import { Rig, noopMessage, openTestObjects } from "./rig.ts";

let rig: Rig;
afterEach(() => rig.stop());

const idsOf = (events: { jobId: string }[]) => events.map((event) => event.jobId).toSorted();
const emptied = () =>
  vi.waitFor(() => expect(rig.queued("jobs")).toEqual({ ready: [], inFlight: [] }), 60_000);

const bytesMax = limits.inlineResultBytesMax;

async function storedDocument(key: string): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${rig.queueServer.port}/files/${key}`);
  expect(answer.headers.get("content-type")).toBe("application/x-ndjson");
  return answer.text();
}

describe("the worker", () => {
  it("answers every job once, to the job's shard, signed, and deletes its message", async () => {
    rig = await Rig.start();
    const messages = Array.from({ length: 40 }, (_, index) =>
      noopMessage({ inputs: [`text ${index}`], shard: index % 4 }),
    );
    for (const message of messages) rig.send(message);
    rig.addWorker();
    await rig.edge.until(() => rig.edge.terminal.length >= messages.length);
    await emptied();
    expect(idsOf(rig.edge.terminal)).toEqual(messages.map(({ id }) => id).toSorted());
    for (const { shard, request } of rig.edge.reports) {
      expect(request.events.every((event) => event.jobId.startsWith(`job_${shard}_`))).toBe(true);
    }
    const [first] = messages;
    const answer = rig.edge.terminal.find((event) => event.jobId === first?.id);
    expect(answer).toMatchObject({
      type: "succeeded",
      tenant: "operator",
      requestKey: null,
      result: resultDocument({
        task: "noop",
        model: "noop",
        modelDigest: "noop",
        outputs: ["text 0"],
        usage: { promptTokens: 0 },
        warnings: [],
      }),
    });
    expect(rig.edge.badSignatures).toBe(0);
    // Grouped: far fewer posts than jobs.
    expect(rig.edge.reports.length).toBeLessThan(messages.length);
  });

  it("keeps every answer while the edge is down and delivers it when the edge is back", async () => {
    rig = await Rig.start();
    await rig.edge.stop();
    rig.addWorker();
    const messages = [noopMessage(), noopMessage(), noopMessage({ shard: 2 })];
    for (const message of messages) rig.send(message);
    await vi.waitFor(() => expect(rig.queued("jobs").inFlight).toHaveLength(3), 60_000);
    await rig.edge.start();
    await rig.edge.until(() => rig.edge.terminal.length >= 3);
    await emptied();
    expect(idsOf(rig.edge.terminal)).toEqual(idsOf(messages.map(({ id: jobId }) => ({ jobId }))));
  });

  it("sends again what the edge answered with an error or did not acknowledge, and deletes only then", async () => {
    rig = await Rig.start();
    const message = noopMessage();
    let refusals = 0;
    rig.edge.status = () => (refusals++ < 2 ? 500 : 200);
    let unacknowledged = 0;
    rig.edge.acknowledges = (event) => event.type !== "succeeded" || unacknowledged++ >= 2;
    rig.send(message);
    rig.addWorker();
    await rig.edge.until(() => rig.edge.terminal.length >= 2);
    expect(rig.queued("jobs").inFlight).toHaveLength(1);
    await rig.edge.until(() => rig.edge.terminal.length >= 3);
    await emptied();
    const sequences = new Set(rig.edge.terminal.map((event) => event.sequence));
    expect(sequences.size).toBe(1);
  });

  it("finds the one event the edge refuses, and fails that job alone", async () => {
    rig = await Rig.start();
    const messages = Array.from({ length: 8 }, () => noopMessage());
    const bad = noopMessage({ inputs: ["refused"] });
    rig.edge.status = (request) => (JSON.stringify(request.events).includes("refused") ? 400 : 200);
    for (const message of [...messages, bad]) rig.send(message);
    rig.addWorker();
    await rig.edge.until(() => rig.edge.terminal.length >= 9);
    await emptied();
    const failed = rig.edge.terminal.filter((event) => event.type === "failed");
    expect(idsOf(failed)).toEqual([bad.id]);
  });

  it("is held up by no event that the edge cannot deal with, and delivers that when it can", async () => {
    rig = await Rig.start();
    const messages = Array.from({ length: 8 }, () => noopMessage());
    const bad = [noopMessage({ inputs: ["troubled"] }), noopMessage({ inputs: ["troubled"] })];
    rig.edge.status = (request) =>
      JSON.stringify(request.events).includes("troubled") ? 503 : 200;
    for (const message of [...bad, ...messages]) rig.send(message);
    rig.addWorker();
    await rig.edge.until(() => rig.edge.terminal.length >= 8);
    expect(idsOf(rig.edge.terminal)).toEqual(messages.map(({ id }) => id).toSorted());
    // Those that come later are not either.
    const later = noopMessage();
    rig.send(later);
    await rig.edge.until(() => rig.edge.terminal.some(({ jobId }) => jobId === later.id));
    await vi.waitFor(() => expect(rig.queued("jobs").inFlight).toHaveLength(2), 60_000);
    rig.edge.status = () => 200;
    await emptied();
    expect(rig.edge.terminal.filter(({ type }) => type === "succeeded")).toHaveLength(11);
  });

  it("is held up by no event that is not acknowledged", async () => {
    rig = await Rig.start();
    const stuck = noopMessage();
    rig.edge.acknowledges = (event) => event.jobId !== stuck.id;
    rig.send(stuck);
    rig.addWorker();
    await rig.edge.until(() => rig.edge.terminal.length >= 3);
    const messages = Array.from({ length: 20 }, () => noopMessage());
    for (const message of messages) rig.send(message);
    const onlyStuck = { ready: [], inFlight: [expect.anything()] };
    await vi.waitFor(() => expect(rig.queued("jobs")).toEqual(onlyStuck), 60_000);
    rig.edge.acknowledges = () => true;
    await emptied();
  });

  it("fails the job of an event that the edge names as none, and no other", async () => {
    rig = await Rig.start();
    const bad = noopMessage({ inputs: ["refused"] });
    rig.edge.refuses = (event) => JSON.stringify(event).includes("refused");
    rig.edge.acknowledges = (event) => event.type !== "started";
    const messages = [noopMessage(), bad, noopMessage()];
    for (const message of messages) rig.send(message);
    rig.addWorker();
    await emptied();
    const ends = rig.edge.terminal.filter((event) => !rig.edge.refuses(event));
    expect(idsOf(ends)).toEqual(idsOf(messages.map(({ id: jobId }) => ({ jobId }))));
    expect(ends.filter(({ type }) => type === "failed").map(({ jobId }) => jobId)).toEqual([
      bad.id,
    ]);
  });

  it("survives the queue server's death and works on when it is back", async () => {
    const dataDir = await mkdtemp(path.join(tmpdir(), "queue-"));
    rig = await Rig.start(dataDir);
    const worker = rig.addWorker();
    rig.send(noopMessage());
    await rig.edge.until(() => rig.edge.terminal.length === 1);
    const start = await rig.stopQueue();
    await vi.waitFor(() => expect(worker.queueReachable).toBe(false), 60_000);
    await start();
    rig.send(noopMessage());
    await rig.edge.until(() => rig.edge.terminal.length === 2);
    await emptied();
    await rm(dataDir, { recursive: true });
  });

  it("computes a job received twice in flight once, and deletes both messages", async () => {
    rig = await Rig.start();
    const message = noopMessage();
    rig.edge.acknowledges = () => false;
    rig.addWorker();
    rig.send(message);
    rig.send(message);
    await vi.waitFor(() => expect(rig.queued("jobs").inFlight).toHaveLength(2), 60_000);
    await rig.edge.until(() => rig.edge.terminal.length >= 2);
    rig.edge.acknowledges = () => true;
    await emptied();
    expect(new Set(rig.edge.terminal.map((event) => event.sequence)).size).toBe(1);
  });

  it("fails a job whose message cannot be read, and leaves the message for the dead-letter queue", async () => {
    rig = await Rig.start();
    const message = noopMessage();
    rig.addWorker();
    rig.send(JSON.stringify({ ...message, inputs: "not a list" }));
    rig.send("no JSON at all");
    await vi.waitFor(() => expect(rig.queued("dead").ready).toHaveLength(2), 60_000);
    expect(rig.edge.terminal).toMatchObject([
      { type: "failed", jobId: message.id, error: { code: "internal_error" } },
    ]);
    await emptied();
  });

  it("fails a job that brought down its workers, on its last receive", async () => {
    rig = await Rig.start();
    const message = noopMessage();
    rig.send(message);
    // What six workers that died would have left behind.
    const held = rig.queued("jobs").ready[0];
    if (held !== undefined) held.approximateReceiveCount = 5;
    rig.addWorker();
    await vi.waitFor(() => expect(rig.queued("dead").ready).toHaveLength(1), 60_000);
    expect(rig.edge.terminal).toMatchObject([
      { type: "failed", jobId: message.id, error: { code: "worker_lost" } },
    ]);
  });

  it("fails the job of a dead letter, and deletes it once that is acknowledged", async () => {
    rig = await Rig.start();
    const message = noopMessage();
    rig.edge.acknowledges = () => false;
    rig.sendDead(message);
    rig.sendDead("no JSON at all");
    rig.addWorker(undefined, undefined, { readsDeadLetters: true });
    await rig.edge.until(() => rig.edge.terminal.length >= 2);
    expect(rig.edge.terminal[0]).toMatchObject({
      type: "failed",
      jobId: message.id,
      tenant: message.tenant,
      error: { code: "worker_lost" },
    });
    expect(rig.queued("dead").inFlight).toHaveLength(2);
    rig.edge.acknowledges = () => true;
    // What cannot be read stays, out of the way.
    await vi.waitFor(() => expect(rig.queued("dead").inFlight).toHaveLength(1), 60_000);
    expect(rig.queued("dead").ready).toEqual([]);
  });

  it("reads large inputs from the object store and leaves large results there", async () => {
    rig = await Rig.start();
    const objects = openTestObjects(rig.queueServer.port);
    const { signal } = new AbortController();
    const inputs = ["x".repeat(700_000), "y".repeat(700_000)];
    const document = { contentType: "application/json", parts: jsonParts(inputs, signal) };
    const reference = await objects.write("jobs/inputs/a.json", document, signal);
    const message = { ...noopMessage(), inputs: reference };
    const altered = { ...noopMessage(), inputs: { ...reference, sha256: "0".repeat(64) } };
    rig.addWorker();
    rig.send(message);
    rig.send(altered);
    await rig.edge.until(() => rig.edge.terminal.length >= 2);
    const answer = rig.edge.terminal.find((event) => event.jobId === message.id);
    if (answer?.type !== "succeeded" || typeof answer.result === "string")
      throw new Error("inline");
    expect(answer.result.key).toBe(`jobs/results/${message.id}.ndjson`);
    const stored = parseResultDocument(await storedDocument(answer.result.key));
    expect(stored).toMatchObject({ task: "noop", usage: { promptTokens: 0 }, outputs: inputs });
    expect(rig.edge.terminal.find((event) => event.jobId === altered.id)).toMatchObject({
      type: "failed",
      error: { code: "internal_error" },
    });
  });

  it("sends a result inline up to the bound, counted in bytes, and never past it", async () => {
    rig = await Rig.start();
    rig.addWorker();
    const objects = openTestObjects(rig.queueServer.port);
    const { signal } = new AbortController();
    // JSON writes each of these characters in six bytes.
    for (const bytes of [-300, 0, 300].map((more) => bytesMax - 200 + more)) {
      const inputs = ["\u0001".repeat(Math.ceil(bytes / 6))];
      const document = { contentType: "application/json", parts: jsonParts(inputs, signal) };
      const reference = await objects.write(`jobs/inputs/${bytes}.json`, document, signal);
      rig.send({ ...noopMessage(), inputs: reference });
    }
    await rig.edge.until(() => rig.edge.terminal.length >= 3);
    for (const event of rig.edge.terminal) {
      if (event.type !== "succeeded") throw new Error(event.type);
      const { result } = event;
      const inline = typeof result === "string";
      const size = Buffer.byteLength(inline ? result : await storedDocument(result.key));
      expect({ size, inline }).toEqual({ size, inline: size <= bytesMax });
    }
    const references = rig.edge.terminal.filter(
      (event) => event.type === "succeeded" && typeof event.result !== "string",
    );
    expect(references).not.toHaveLength(0);
    expect(references.length).toBeLessThan(3);
  });

  it("announces itself at once", async () => {
    rig = await Rig.start();
    rig.addWorker(undefined, "worker-x");
    await rig.edge.until(() => rig.edge.announcements.length > 0);
    expect(rig.edge.announcements[0]).toEqual({ worker: "worker-x", models: [] });
  });

  it("shares a queue with another worker, each job answered once", async () => {
    rig = await Rig.start();
    rig.addWorker();
    rig.addWorker();
    const workers = () => new Set(rig.edge.reports.map(({ request }) => request.worker));
    const sent: string[] = [];
    const sendSome = () => {
      for (let i = 0; i < 20; i += 1) {
        const message = noopMessage();
        sent.push(message.id);
        rig.send(message);
      }
    };
    sendSome();
    for (let round = 0; round < 50 && workers().size < 2; round += 1) {
      await rig.edge.until(() => rig.edge.terminal.length >= sent.length);
      sendSome();
    }
    await rig.edge.until(() => rig.edge.terminal.length >= sent.length);
    await emptied();
    expect(workers().size).toBe(2);
    expect(idsOf(rig.edge.terminal)).toEqual(sent.toSorted());
  });
});
