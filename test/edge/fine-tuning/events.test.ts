/** What is told of fine-tuning jobs: events as lists and as they come, bounded; checkpoints. */
import { runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TuningEvent } from "../../../contract/training/tuning-job.ts";
import type {
  TuningCheckpointObject,
  TuningEventObject,
} from "../../../edge/fine-tuning/tuning-events.ts";
import { tuningLimits } from "../../../edge/fine-tuning/tuning-limits.ts";
import { SseReader } from "../../sse-reader.ts";
import { errorOf } from "../caller.ts";
import { call as callOpen } from "../jobs/caller-and-worker.ts";
import type { OutsideWorld } from "../jobs/outside-world.ts";
import {
  beginTuning,
  claim,
  claimedJob,
  create,
  endTuning,
  get,
  lapse,
  post,
  report,
  sentFor,
  tuning,
  upload,
} from "./tuning-in-tests.ts";

let world: OutsideWorld;

beforeEach(async () => {
  world = await beginTuning();
});
afterEach(endTuning);

type List<T> = { data: T[]; has_more: boolean };

function metrics(sequence: number, more: Partial<TuningEvent> = {}): TuningEvent {
  return {
    sequence,
    at: Date.now(),
    level: "info",
    message: `Step ${sequence}`,
    type: "metrics",
    data: { step: sequence, train_loss: 0.5 },
    ...more,
  };
}

const error = { code: "invalid_value", message: "no", param: null } as const;
const eventsOf = async (path: string) => (await get(path)).json<List<TuningEventObject>>();

describe("events", () => {
  it("of a cancelled job end with that, whatever its worker has still to tell", async () => {
    const { job, order } = await claimedJob(world);
    await post(`/${job.id}/cancel`);
    await report(order, { events: [metrics(1)] });
    await report(order, { events: [metrics(2)], outcome: { kind: "cancelled" } });
    const { data } = await eventsOf(`/${job.id}/events`);
    expect(data[0]?.message).toBe("Fine-tuning job cancelled");
  });

  it("are listed, the newest first, by pages", async () => {
    const { job, order } = await claimedJob(world);
    await report(order, { events: [metrics(1), metrics(2)] });
    const { data, has_more } = await eventsOf(`/${job.id}/events`);
    expect(has_more).toBe(false);
    expect(data.map(({ message }) => message)).toEqual([
      "Step 2",
      "Step 1",
      "Fine-tuning job started",
      "Files validated, moving job to queued state",
      expect.stringMatching(/^Validating file: file-/),
      `Created fine-tuning job: ${job.id}`,
    ]);
    expect(data[0]).toMatchObject({
      object: "fine_tuning.job.event",
      type: "metrics",
      level: "info",
      data: { step: 2, train_loss: 0.5 },
    });
    const paged = [];
    for (let query = "?limit=4"; ;) {
      const page = await eventsOf(`/${job.id}/events${query}`);
      paged.push(...page.data);
      if (!page.has_more) break;
      query = `?limit=4&after=${page.data.at(-1)?.id}`;
    }
    expect(paged).toEqual(data);
  });

  it("that come again are not told twice, of one lease; of the next they begin anew", async () => {
    const { job, order } = await claimedJob(world);
    for (let times = 0; times < 2; times += 1)
      await report(order, { events: [metrics(2), metrics(1)] });
    await report(order, { events: [metrics(1), metrics(2), metrics(3)] });
    await lapse(job.id);
    await sentFor(world, job.id, 2);
    const second = await claim(job.id, "another");
    if (second === null) throw new Error("nothing to claim");
    await report(second, { events: [metrics(1)] });
    const { data } = await eventsOf(`/${job.id}/events`);
    const steps = data.flatMap(({ type, data: { step } }) => (type === "metrics" ? [step] : []));
    expect(steps.toReversed()).toEqual([1, 2, 3, 1]);
    expect(data.map(({ message }) => message)).toContain(
      "The worker that trained it was lost. It waits for another.",
    );
  });

  it("are bounded: of too many the oldest metrics go, and that is told", async () => {
    const { job, order } = await claimedJob(world);
    const count = tuningLimits.eventsMax + 1_000;
    for (let from = 1; from <= count; from += 200) {
      const events = Array.from({ length: 200 }, (_, at) => metrics(from + at));
      await report(order, { events });
    }
    const messages: string[] = [];
    for (let query = "?limit=1000"; ;) {
      const page = await eventsOf(`/${job.id}/events${query}`);
      messages.push(...page.data.map(({ message }) => message));
      if (!page.has_more) break;
      query = `?limit=1000&after=${page.data.at(-1)?.id}`;
    }
    expect(messages.length).toBeLessThanOrEqual(tuningLimits.eventsMax);
    expect(messages.length).toBeGreaterThan(tuningLimits.eventsMax - 500);
    expect(messages[0]).toBe(`Step ${count}`);
    expect(messages.at(-1)).toBe(`Created fine-tuning job: ${job.id}`);
    expect(messages).toContain("Fine-tuning job started");
    expect(messages.filter((text) => text.startsWith("More than 10000 events"))).toHaveLength(1);
    expect(messages).not.toContain("Step 1");
  });

  it("with too much data are told without it", async () => {
    const { job, order } = await claimedJob(world);
    await report(order, { events: [metrics(1, { data: { text: "x".repeat(100_000) } })] });
    const [event] = (await eventsOf(`/${job.id}/events?limit=1`)).data;
    expect(JSON.stringify(event).length).toBeLessThan(1_000);
    expect(event?.data).toHaveProperty("left_out");
  });

  it("of other jobs, and what is none, are no place to go on from", async () => {
    const { job } = await claimedJob(world);
    for (const after of [`ftevent-${"0".repeat(32)}-1`, "x", `ftckpt-${job.id.slice(6)}-1`]) {
      const response = await get(`/${job.id}/events?after=${after}`);
      expect(await errorOf(response)).toMatchObject({ status: 404, param: "after" });
    }
    expect((await get(`/${job.id}/events?stream=yes`)).status).toBe(400);
  });
});

const openTail = (id: string, query: string, headers: Record<string, string> = {}) =>
  callOpen(`/v1/fine_tuning/jobs/${id}/events${query}`, { method: "GET", headers });

describe("the tail of a job", () => {
  it("tells what was, then what comes, and ends with the job", async () => {
    const { job, order } = await claimedJob(world);
    const response = await openTail(job.id, "?stream=true");
    expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
    const events = new SseReader(response);
    expect(await events.next()).toMatchObject({
      id: "1",
      data: { object: "fine_tuning.job.event", message: `Created fine-tuning job: ${job.id}` },
    });
    await report(order, { events: [metrics(1)] });
    await report(order, { outcome: { kind: "failed", error } });
    const rest = await events.rest();
    expect(rest.map(({ id }) => id)).toEqual(["2", "3", "4", "5", "6", undefined]);
    expect(rest.slice(-3)).toMatchObject([
      { data: { message: "Step 1" } },
      { data: { message: "The job failed: no", level: "error" } },
      { data: { done: true } },
    ]);
    const headers = { accept: "text/event-stream", "last-event-id": "5" };
    const again = await new SseReader(await openTail(job.id, "", headers)).rest();
    expect(again.map(({ id }) => id)).toEqual(["6", undefined]);
  });

  it("is let go by a reader that leaves", async () => {
    const job = await create({ training_file: await upload() });
    const response = await openTail(job.id, "?stream=true");
    await response.body?.cancel();
    expect((await post(`/${job.id}/cancel`)).status).toBe(200);
    await runDurableObjectAlarm(tuning());
  });

  it("begins at the number of an event", async () => {
    const job = await create({ training_file: await upload() });
    const response = await openTail(job.id, "?stream=true", { "last-event-id": "x" });
    expect(await errorOf(response)).toMatchObject({ status: 400, param: "last-event-id" });
  });
});

const checkpointsOf = async (path: string) =>
  (await get(path)).json<List<TuningCheckpointObject> & { last_id: string | null }>();

describe("checkpoints", () => {
  it("are listed, the last step first, each once", async () => {
    const { job, order } = await claimedJob(world);
    const at = Date.now();
    const checkpoints = [10, 20, 30].map((step) => ({ step, at, metrics: { valid_loss: step } }));
    for (let times = 0; times < 2; times += 1) await report(order, { checkpoints });
    const first = await checkpointsOf(`/${job.id}/checkpoints?limit=2`);
    expect(first).toMatchObject({
      has_more: true,
      data: [{ step_number: 30, metrics: { valid_loss: 30 } }, { step_number: 20 }],
    });
    expect(first.data[0]).toMatchObject({
      object: "fine_tuning.job.checkpoint",
      fine_tuning_job_id: job.id,
      fine_tuned_model_checkpoint: `${order.name}:ckpt-step-30`,
    });
    const second = await checkpointsOf(`/${job.id}/checkpoints?after=${first.last_id}`);
    expect(second).toMatchObject({ has_more: false, data: [{ step_number: 10 }] });
    expect((await get(`/${job.id}/checkpoints?after=x`)).status).toBe(404);
  });
});
