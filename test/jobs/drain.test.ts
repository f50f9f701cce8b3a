/** Cancelling, sharing a batch, and the end of a worker, with a model whose runs the test holds open. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { CodedError } from "../../contract/errors.ts";
import type { JobMessageOf } from "../../contract/job-message.ts";
import type { AnnouncedModels } from "../../gpu-worker/jobs/worker.ts";
import { type ToyEncoder, toyEncoder } from "../pipelines/toy-encoder.ts";
import { Rig, noopMessage, openTestQueue } from "./rig.ts";

let rig: Rig;
afterEach(() => rig.stop());

function serving(encoder: ToyEncoder): AnnouncedModels {
  return {
    lease: async (id) => {
      if (id === encoder.id) return { model: encoder, release: () => {} };
      throw new CodedError("model_not_found", `no model ${id}`);
    },
    states: () => [],
    onChange: () => {},
  };
}

/** An encoder whose runs wait until `open` is called, or until they are aborted. */
function heldEncoder() {
  const encoder = toyEncoder();
  let entered = 0;
  let aborted = 0;
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  encoder.gate = async (signal) => {
    entered += 1;
    const left = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => {
        aborted += 1;
        reject(signal.reason);
      });
    });
    await Promise.race([opened, left]);
  };
  return { encoder, open, entered: () => entered, aborted: () => aborted };
}

function embedding(inputs: string[], model = "toy"): JobMessageOf<"feature-extraction"> {
  const { id, shard, tenant, createdAt } = noopMessage();
  const envelope = { version: 1, id, shard, tenant, model, createdAt, requestKey: null } as const;
  return { ...envelope, task: "feature-extraction", parameters: {}, inputs };
}

const isEmpty = () => expect(rig.queued("jobs")).toEqual({ ready: [], inFlight: [] });

describe("a job with a model", () => {
  it("is answered with its model's digest and its usage, and fails by its own fault alone", async () => {
    rig = await Rig.start();
    const good = embedding(["10 20"]);
    const long = embedding([Array.from({ length: 30 }, () => "3").join(" ")]);
    const unknown = embedding(["1"], "no-such-model");
    for (const message of [good, long, unknown]) rig.send(message);
    rig.addWorker(serving(toyEncoder()));
    await rig.edge.until(() => rig.edge.terminal.length >= 3);
    const of = (id: string) => rig.edge.terminal.find((event) => event.jobId === id);
    expect(of(good.id)).toMatchObject({
      type: "succeeded",
      modelDigest: "toy-digest",
      usage: { promptTokens: 4 },
      result: expect.stringMatching(/^\{"task":"feature-extraction","model":"toy",.*\}\n".+"\n$/),
    });
    expect(of(long.id)).toMatchObject({ error: { code: "context_length_exceeded" } });
    expect(of(unknown.id)).toMatchObject({ error: { code: "model_not_found" } });
  });

  it("is reported as started while it runs, and stopped when its result is no longer wanted", async () => {
    rig = await Rig.start();
    const { encoder, entered, aborted } = heldEncoder();
    const message = embedding(["1"]);
    rig.send(message);
    rig.addWorker(serving(encoder));
    await rig.edge.until(() => rig.edge.events.some((event) => event.type === "started"));
    expect(entered()).toBe(1);
    rig.edge.cancelled.add(message.id);
    await vi.waitFor(isEmpty, 60_000);
    expect(aborted()).toBe(1);
    expect(rig.edge.terminal).toEqual([]);
    // The batch that was running counts: the token and the two special ones.
    expect(rig.edge.givenUp).toMatchObject([{ jobId: message.id, usage: { promptTokens: 3 } }]);
  });

  it("is reported as started, and then how far it is, whatever lies between two reports", async () => {
    rig = await Rig.start();
    const { encoder, open } = heldEncoder();
    const { gate } = encoder;
    let runs = 0;
    // The first batch is through before anything is reported.
    encoder.gate = (signal) => (runs++ === 0 ? Promise.resolve() : gate(signal));
    const message = embedding(Array.from({ length: 200 }, () => "1"));
    rig.send(message);
    // What the edge did not take is said again.
    let refusals = 0;
    rig.edge.status = () => (refusals++ < 2 ? 500 : 200);
    rig.addWorker(serving(encoder));
    await rig.edge.until(() => rig.edge.events.some((event) => event.type === "progress"));
    open();
    await rig.edge.until(() => rig.edge.terminal.length > 0);
    const [first, second] = rig.edge.events;
    expect(first).toMatchObject({ type: "started", jobId: message.id });
    expect(second).toMatchObject({ type: "progress", total: 200 });
    expect(rig.edge.events.filter(({ type }) => type === "started")).toHaveLength(1);
    const sequences = rig.edge.events.map(({ sequence }) => sequence);
    expect(sequences).toEqual(sequences.toSorted((a, b) => a - b));
  });

  it("that is given up before it ran has taken nothing", async () => {
    rig = await Rig.start();
    const message = embedding(["1"]);
    const { promise: loading } = Promise.withResolvers<never>();
    const lease: AnnouncedModels["lease"] = (_, signal) =>
      Promise.race([
        loading,
        new Promise<never>((_resolve, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason));
        }),
      ]);
    rig.send(message);
    rig.edge.cancelled.add(message.id);
    rig.addWorker({ ...serving(toyEncoder()), lease });
    await vi.waitFor(isEmpty, 60_000);
    expect(rig.edge.givenUp).toMatchObject([{ jobId: message.id, usage: { promptTokens: 0 } }]);
  });

  it("says what it read of a job that failed after that", async () => {
    rig = await Rig.start();
    const encoder = toyEncoder();
    encoder.gate = () => Promise.reject(new CodedError("invalid_value", "not such inputs"));
    const message = embedding(["1 2 3"]);
    rig.send(message);
    rig.addWorker(serving(encoder));
    await rig.edge.until(() => rig.edge.terminal.length > 0);
    expect(rig.edge.terminal).toMatchObject([
      { type: "failed", error: { code: "invalid_value" }, usage: { promptTokens: 5 } },
    ]);
  });

  it("that is sent again while it is given up is answered", async () => {
    rig = await Rig.start();
    const { encoder, open } = heldEncoder();
    const message = embedding(["1"]);
    rig.edge.acknowledges = (event) => event.type !== "cancelled";
    rig.send(message);
    rig.addWorker(serving(encoder));
    await rig.edge.until(() => rig.edge.events.some((event) => event.type === "started"));
    rig.edge.cancelled.add(message.id);
    await rig.edge.until(() => rig.edge.givenUp.length > 0);
    rig.edge.cancelled.delete(message.id);
    open();
    rig.send(message);
    // Handed back, until the first is over.
    await vi.waitFor(() => {
      const { ready, inFlight } = rig.queued("jobs");
      const all = [...ready, ...inFlight.map((each) => each.message)];
      const receives = all.map((each) => each.approximateReceiveCount);
      expect(receives).toHaveLength(2);
      expect(Math.max(...receives)).toBeGreaterThan(1);
    }, 60_000);
    rig.edge.acknowledges = () => true;
    await rig.edge.until(() => rig.edge.terminal.length > 0);
    expect(rig.edge.terminal).toMatchObject([{ type: "succeeded", jobId: message.id }]);
    await vi.waitFor(isEmpty, 60_000);
  });
});

describe("draining", () => {
  it("finishes what is in flight, delivers it, and receives no more", async () => {
    rig = await Rig.start();
    const { encoder, open, entered } = heldEncoder();
    const message = embedding(["1"]);
    rig.send(message);
    const worker = rig.addWorker(serving(encoder));
    await vi.waitFor(() => expect(entered()).toBe(1), 60_000);
    const drained = worker.drain(new AbortController().signal);
    open();
    await drained;
    expect(rig.edge.terminal).toMatchObject([{ type: "succeeded", jobId: message.id }]);
    isEmpty();
    rig.send(noopMessage());
    expect(rig.queued("jobs").ready).toHaveLength(1);
  });

  it("hands back at the deadline what is not finished, at once visible to another worker", async () => {
    rig = await Rig.start();
    const { encoder, entered } = heldEncoder();
    const message = embedding(["1"]);
    rig.send(message);
    const worker = rig.addWorker(serving(encoder));
    await vi.waitFor(() => expect(entered()).toBe(1), 60_000);
    await worker.drain(AbortSignal.abort());
    expect(rig.edge.terminal).toEqual([]);
    expect(rig.queued("jobs")).toMatchObject({ ready: [{}], inFlight: [] });
    rig.addWorker(serving(toyEncoder()));
    await rig.edge.until(() => rig.edge.terminal.length > 0);
    expect(rig.edge.terminal).toMatchObject([{ type: "succeeded", jobId: message.id }]);
    await vi.waitFor(isEmpty, 60_000);
  });

  it("hands back what the last open poll brings", async () => {
    rig = await Rig.start();
    const worker = rig.addWorker();
    await rig.edge.until(() => rig.edge.announcements.length > 0);
    const drained = worker.drain(new AbortController().signal);
    rig.send(noopMessage());
    await drained;
    expect(rig.edge.terminal).toEqual([]);
    expect(rig.queued("jobs")).toMatchObject({ ready: [{}], inFlight: [] });
  });

  it("ends although edge and queue are gone", async () => {
    rig = await Rig.start();
    rig.send(noopMessage());
    rig.edge.acknowledges = () => false;
    const worker = rig.addWorker();
    await rig.edge.until(() => rig.edge.terminal.length > 0);
    await rig.edge.stop();
    const start = await rig.stopQueue();
    await worker.drain(AbortSignal.abort());
    await start();
  });
});

describe("a job whose worker died", () => {
  it("is answered by the next, with sequence numbers past those of the first", async () => {
    rig = await Rig.start();
    const message = noopMessage();
    rig.send(message);
    const queue = openTestQueue(rig.queueServer.port);
    const [received] = await queue.receive(1);
    const diedAt = Date.now();
    await queue.setVisibility([received?.receipt ?? ""], 0);
    queue.close();
    rig.addWorker();
    await rig.edge.until(() => rig.edge.terminal.length > 0);
    expect(rig.edge.terminal[0]?.sequence).toBeGreaterThan(diedAt);
  });

  it("runs alone when it has been received again and again, and is still answered", async () => {
    rig = await Rig.start();
    const { encoder, open, entered } = heldEncoder();
    const suspects = [embedding(["1"]), embedding(["2"]), embedding(["3"])];
    for (const message of suspects) rig.send(message);
    for (const message of rig.queued("jobs").ready) message.approximateReceiveCount = 3;
    const fresh = noopMessage();
    rig.send(fresh);
    rig.addWorker(serving(encoder));
    await rig.edge.until(() => rig.edge.terminal.some((event) => event.jobId === fresh.id));
    await vi.waitFor(() => expect(entered()).toBe(1), 60_000);
    expect(encoder.runs).toEqual([]);
    open();
    await rig.edge.until(() => rig.edge.terminal.length === 4);
    expect(encoder.runs.map(([rows]) => rows)).toEqual([1, 1, 1]);
    await vi.waitFor(isEmpty, 60_000);
  });
});
