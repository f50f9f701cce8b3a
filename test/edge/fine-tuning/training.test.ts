/** Fine-tuning jobs as workers have them: claims, reports, leases, messages. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { leaseNumbers } from "../../../contract/training/tuning-job.ts";
import type { OutsideWorld } from "../jobs/outside-world.ts";
import {
  beginTuning,
  checkedFile,
  claim,
  claimedJob,
  create,
  endTuning,
  isToBeSent,
  lapse,
  post,
  progressOf,
  report,
  retrieve,
  secondsUsed,
  sentFor,
  tenant,
  until,
} from "./tuning-in-tests.ts";

let world: OutsideWorld;

beforeEach(async () => {
  world = await beginTuning();
});
afterEach(endTuning);

const error = { code: "invalid_value", message: "too few of a label", param: null } as const;
describe("a claim", () => {
  it("is granted once", async () => {
    const { job, order } = await claimedJob(world);
    expect(order).toMatchObject({ id: job.id, tenant, attempt: 1 });
    expect(await claim(job.id, "another")).toBeNull();
    expect(await report(order)).toBe("continue");
    expect(await claim(job.id)).toBeNull();
  });

  it("by two at once is granted to one of them", async () => {
    const job = await create({ training_file: await checkedFile(world) });
    await sentFor(world, job.id);
    const orders = await Promise.all(["a", "b", "c"].map((worker) => claim(job.id, worker)));
    expect(orders.filter((order) => order !== null)).toHaveLength(1);
  });

  it("whose answer was lost is granted to the same worker again", async () => {
    const { job, order } = await claimedJob(world);
    expect(await claim(job.id)).toEqual(order);
  });

  it("of a job that is not to be had comes to nothing", async () => {
    const { job } = await claimedJob(world);
    const waiting = await create({ training_file: job.training_file });
    await until(waiting.id, "queued");
    expect(await claim(waiting.id)).toBeNull();
    await post(`/${waiting.id}/cancel`);
    expect(await claim(waiting.id)).toBeNull();
    expect(await claim(`ftjob-${"f".repeat(32)}`)).toBeNull();
  });
});

describe("a lease", () => {
  it("that is not heard of is another worker's, and the first is told to stop", async () => {
    const { job, order } = await claimedJob(world);
    await lapse(job.id);
    await sentFor(world, job.id, 2);
    expect(await report(order)).toBe("stop");
    const second = await claim(job.id, "another");
    expect(second).toMatchObject({ attempt: 2 });
    expect(second?.lease).not.toBe(order.lease);
    // What the first says of its end changes nothing.
    expect(await report(order, { outcome: { kind: "failed", error } })).toBe("stop");
    expect(await retrieve(job.id)).toMatchObject({ status: "running" });
  });

  it("that lapses too often fails the job, which costs nothing", async () => {
    const { job, order } = await claimedJob(world, { max_seconds: 100 });
    await report(order, { progress: progressOf(50) });
    for (let lapses = 1; lapses < leaseNumbers.attemptsMax; lapses += 1) {
      await lapse(job.id);
      await sentFor(world, job.id, 1 + lapses);
      await claim(job.id, `worker-${lapses}`);
    }
    await lapse(job.id);
    expect(await until(job.id, "failed")).toMatchObject({ error: { code: "worker_lost" } });
    expect(await secondsUsed()).toBe(0);
  });

  it("whose worker is told to be dead is sent again at once, counted, and worth nothing any more", async () => {
    const { job, order } = await claimedJob(world);
    const lost = { worker: "another", outcome: { kind: "lost" } } as const;
    expect(await report(order, lost)).toBe("continue");
    await sentFor(world, job.id, 2);
    expect(await report(order)).toBe("stop");
    expect(await claim(job.id, "another")).toMatchObject({ attempt: 2 });
    // Said once more, it is of a lease that nobody has.
    expect(await report(order, lost)).toBe("stop");
    expect(await retrieve(job.id)).toMatchObject({ status: "running" });
  });

  it("that is handed back is sent again, and no attempt is counted", async () => {
    const { job, order } = await claimedJob(world);
    expect(await report(order, { outcome: { kind: "released" } })).toBe("continue");
    await sentFor(world, job.id, 2);
    expect(await claim(job.id, "another")).toMatchObject({ attempt: 1 });
  });
});

describe("a message", () => {
  it("is sent when the queue is up again", async () => {
    const training_file = await checkedFile(world);
    world.queueIsUp = false;
    const job = await create({ training_file });
    await until(job.id, "queued");
    await vi.waitFor(() => expect(world.sendsRefused).toBeGreaterThan(0));
    world.queueIsUp = true;
    await isToBeSent(job.id);
    await sentFor(world, job.id);
    expect(await claim(job.id)).not.toBeNull();
  });

  it("that nobody claims is sent again, however old its job is", async () => {
    const job = await create({ training_file: await checkedFile(world) });
    await sentFor(world, job.id);
    for (let count = 2; count < 5; count += 1) {
      await isToBeSent(job.id);
      await sentFor(world, job.id, count);
    }
    expect(await claim(job.id)).not.toBeNull();
    expect(await claim(job.id, "another")).toBeNull();
  });
});

describe("a report", () => {
  it("tells how far it is", async () => {
    const { job, order } = await claimedJob(world);
    await report(order, { progress: progressOf(30) });
    const shown = await retrieve(job.id);
    expect(shown).toMatchObject({
      status: "running",
      progress: { step: 5, steps: 10, seconds: 30, seconds_left: 30 },
      trained_tokens: null,
    });
    expect((shown.estimated_finish ?? 0) - Date.now() / 1_000).toBeGreaterThan(25);
  });

  it("that comes again changes nothing", async () => {
    const { job, order } = await claimedJob(world, { max_seconds: 100 });
    const outcome = { kind: "failed", error } as const;
    for (let times = 0; times < 3; times += 1)
      expect(await report(order, { progress: progressOf(40), outcome })).toBe("continue");
    expect(await retrieve(job.id)).toMatchObject({
      status: "failed",
      error,
      trained_tokens: 1_234,
    });
    expect(await secondsUsed()).toBe(40);
  });

  it.each([
    ["cancel", "cancelled"],
    ["pause", "paused"],
  ] as const)("is answered by %s where its job is %s", async (change, status) => {
    const { job, order } = await claimedJob(world, { max_seconds: 100 });
    const next = await create({ training_file: job.training_file, max_seconds: 100 });
    // OpenAI's schema has no status of its own for a paused job.
    const shown =
      status === "paused" ? { status: "queued", paused: true } : { status, paused: false };
    expect(await (await post(`/${job.id}/${change}`)).json()).toMatchObject(shown);
    // Its worker has it still.
    await until(next.id, "queued");
    expect(world.trainingMessages.map(({ id }) => id)).toEqual([job.id]);
    expect(await report(order, { progress: progressOf(10) })).toBe(change);
    expect(await report(order, { outcome: { kind: status } })).toBe("continue");
    await sentFor(world, next.id);
    expect(await retrieve(job.id)).toMatchObject(shown);
    expect(await secondsUsed()).toBe(change === "cancel" ? 110 : 200);
  });

  it("of a resumed job is of another lease, which goes on", async () => {
    const { job, order } = await claimedJob(world);
    await post(`/${job.id}/pause`);
    // Before its worker has heard.
    expect((await post(`/${job.id}/resume`)).status).toBe(200);
    expect(await claim(job.id, "another")).toBeNull();
    expect(await report(order)).toBe("pause");
    await report(order, { outcome: { kind: "paused" } });
    await sentFor(world, job.id, 2);
    expect(await claim(job.id)).toMatchObject({ attempt: 1 });
    expect((await post(`/${job.id}/resume`)).status).toBe(400);
  });

  it("of a cancelled job's worker that is lost frees its place", async () => {
    const { job } = await claimedJob(world);
    const next = await create({ training_file: job.training_file });
    await post(`/${job.id}/cancel`);
    await lapse(job.id);
    await sentFor(world, next.id);
    expect(await retrieve(job.id)).toMatchObject({ status: "cancelled", error: null });
  });
});
