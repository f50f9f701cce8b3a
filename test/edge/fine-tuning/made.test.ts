/** What workers make of fine-tuning jobs: how it comes to answer, or is thrown away, whatever broke off on the way. */
import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { TuningJobId } from "../../../contract/training/tuning-job.ts";
import { formatTuningJobId } from "../../../edge/fine-tuning/tuning-job.ts";
import { tuningLimits } from "../../../edge/fine-tuning/tuning-limits.ts";
import { TuningRows } from "../../../edge/fine-tuning/tuning-rows.ts";
import { call } from "../caller.ts";
import type { OutsideWorld } from "../jobs/outside-world.ts";
import { miniLm } from "../stand-in-worker.ts";
import {
  beginTuning,
  checkedFile,
  claim,
  claimedJob,
  create,
  endTuning,
  fail,
  get,
  madeOf,
  messageOf,
  post,
  progressOf,
  report,
  retrieve,
  secondsUsed,
  sentFor,
  succeed,
  tenant,
  tuning,
  until,
} from "./tuning-in-tests.ts";
import { tunedModel } from "./tuned-model-sample.ts";

let world: OutsideWorld;

beforeEach(async () => {
  world = await beginTuning();
});
afterEach(endTuning);

const loads = (name: string) =>
  messageOf(world, ({ task, model }) => task === "load-model" && model === name);
const loaded = { tasks: [], limits: miniLm.limits, digest: "d" };
const models = () => env.TUNED_MODELS.getByName(tenant);
const resultKeys = () => [...world.objects.keys()].filter((key) => key.startsWith("tuned/"));

describe("what was made", () => {
  it("answers before the job is said to have succeeded, and its files are the key's", async () => {
    const { job, order } = await claimedJob(world, { max_seconds: 100, suffix: "mood" });
    const made = madeOf(world, order);
    await report(order, { progress: progressOf(60), outcome: made });
    const message = await loads(order.name);
    expect(message.tuned).toEqual({
      name: order.name,
      digest: made.model.digest,
      files: made.model.files,
    });
    expect(await retrieve(job.id)).toMatchObject({ status: "running", fine_tuned_model: null });
    expect(await models().find(order.name)).toMatchObject(made.model);
    await succeed(message, loaded);
    const done = await until(job.id, "succeeded");
    expect(done).toMatchObject({
      fine_tuned_model: order.name,
      trained_tokens: 1_234,
      error: null,
    });
    expect(done.result_files).toHaveLength(2);
    expect(await secondsUsed()).toBe(60);
    const [metrics] = done.result_files;
    const file = await call(`/v1/files/${metrics}`, undefined, { operator: true });
    expect(await file.json()).toMatchObject({
      filename: "metrics.csv",
      purpose: "fine-tune-results",
      status: "processed",
    });
    const listed = await call("/v1/files?purpose=fine-tune-results", undefined, { operator: true });
    expect((await listed.json<{ data: { id: string }[] }>()).data.map(({ id }) => id)).toEqual(
      expect.arrayContaining(done.result_files),
    );
    expect(done.report).toBe(`/v1/files/${done.result_files[1]}/content`);
    // It may be asked for as its job was given it: it is no file to train with.
    const again = await post("", { model: miniLm.id, training_file: metrics });
    expect(again.status).toBe(400);
    await call(`/v1/files/${metrics}`, undefined, { method: "DELETE", operator: true });
    await vi.waitFor(async () => {
      await runDurableObjectAlarm(env.FILES.getByName(tenant));
      expect(world.objects.has(`${order.resultPrefix}metrics.csv`)).toBe(false);
    });
    await models().remove(order.name);
  });

  it("is loaded by another worker where one was lost, and by three at most", async () => {
    const { job, order } = await claimedJob(world, { max_seconds: 100 });
    await report(order, { progress: progressOf(60), outcome: madeOf(world, order) });
    const seen = new Set<string>();
    for (let tries = 0; tries < 3; tries += 1) {
      const message = await messageOf(
        world,
        ({ id, task, model }) => task === "load-model" && model === order.name && !seen.has(id),
      );
      seen.add(message.id);
      await fail(message, "worker_lost");
    }
    const failed = await until(job.id, "failed");
    expect(failed.error).toMatchObject({ message: expect.stringMatching(/no worker could load/) });
    await nothingIsLeft(order.name);
    expect(await secondsUsed()).toBe(0);
  });

  it("that cannot be loaded at all fails the job, and nothing is left of it", async () => {
    const { job, order } = await claimedJob(world);
    await report(order, { outcome: madeOf(world, order) });
    await fail(await loads(order.name), "model_not_servable");
    expect(await until(job.id, "failed")).toMatchObject({
      error: { code: "model_not_servable" },
      fine_tuned_model: null,
      result_files: [],
      report: null,
    });
    await nothingIsLeft(order.name);
  });

  it("is thrown away where the job was cancelled meanwhile", async () => {
    const { job, order } = await claimedJob(world);
    await post(`/${job.id}/cancel`);
    expect(await report(order, { outcome: madeOf(world, order) })).toBe("continue");
    await nothingIsLeft(order.name);
    const other = await claimedJob(world);
    await report(other.order, { outcome: madeOf(world, other.order) });
    const message = await loads(other.order.name);
    await post(`/${other.job.id}/cancel`);
    await succeed(message, loaded);
    await nothingIsLeft(other.order.name);
    expect(await retrieve(other.job.id)).toMatchObject({ status: "cancelled" });
  });

  it("is put in place in the end, however often that broke off", async () => {
    const { job, order } = await claimedJob(world, { max_seconds: 100 });
    const outcome = madeOf(world, order);
    // The answer to the report was lost, and the object put away.
    await report(order, { progress: progressOf(60), outcome });
    await report(order, { progress: progressOf(60), outcome });
    world.queueIsUp = false;
    await runDurableObjectAlarm(tuning());
    world.queueIsUp = true;
    await succeed(await loads(order.name), loaded);
    const done = await until(job.id, "succeeded");
    await Promise.all([1, 2, 3].map(() => runDurableObjectAlarm(tuning())));
    expect(await retrieve(job.id)).toEqual(done);
    expect(await models().list()).toHaveLength(1);
    expect(await secondsUsed()).toBe(60);
    await models().remove(order.name);
  });

  it("is not kept where the key has all the models that it may", async () => {
    const { job, order } = await claimedJob(world);
    const names = Array.from(
      { length: tuningLimits.modelsMax },
      (_, at) => `ft:all-MiniLM-L6-v2::${String(at).padStart(32, "0")}`,
    );
    for (const name of names) await models().put(tunedModel({ name }));
    await report(order, { outcome: madeOf(world, order) });
    expect(await until(job.id, "failed")).toMatchObject({ error: { code: "insufficient_quota" } });
    await nothingIsLeft(order.name);
    for (const name of names) await models().remove(name);
  });

  it.each([
    ["another name", { name: `ft:all-MiniLM-L6-v2::${"e".repeat(32)}` }],
    ["another base", { base: "other" }],
    [
      "another's files",
      { files: [{ path: "a", object: { key: "files/x", bytes: 1, sha256: "0".repeat(64) } }] },
    ],
  ])("that has %s is not taken", async (_, changed) => {
    const { job, order } = await claimedJob(world);
    await report(order, { outcome: madeOf(world, order, changed) });
    expect(await until(job.id, "failed")).toMatchObject({ error: { code: "internal_error" } });
    expect(await models().list()).toEqual([]);
  });
});

describe("what a worker stored before it was lost", () => {
  it("goes with the job, once the store answers", async () => {
    const { job, order } = await claimedJob(world);
    const key = `${order.modelPrefix}half-way`;
    world.objects.set(key, new Uint8Array(1));
    world.storeIsUp = false;
    await post(`/${job.id}/cancel`);
    await report(order, { outcome: { kind: "cancelled" } });
    await runDurableObjectAlarm(tuning());
    expect(world.objects.has(key)).toBe(true);
    world.storeIsUp = true;
    await nothingIsLeft(order.name);
  });
});

describe("a key's object that is put away", () => {
  it("goes on where it was, at each step of a job", async () => {
    const training_file = await checkedFile(world);
    const job = await create({ training_file, max_seconds: 100 });
    await abortAllDurableObjects();
    await until(job.id, "queued");
    await abortAllDurableObjects();
    await sentFor(world, job.id);
    const order = await claim(job.id);
    if (order === null) throw new Error("nothing to claim");
    await abortAllDurableObjects();
    const outcome = madeOf(world, order);
    expect(await report(order, { progress: progressOf(60), outcome })).toBe("continue");
    await abortAllDurableObjects();
    expect(await report(order, { progress: progressOf(60), outcome })).toBe("continue");
    const message = await loads(order.name);
    await abortAllDurableObjects();
    await succeed(message, loaded);
    await until(job.id, "succeeded");
    await abortAllDurableObjects();
    const done = await retrieve(job.id);
    expect(done).toMatchObject({ status: "succeeded", fine_tuned_model: order.name });
    expect(done.result_files).toHaveLength(2);
    expect(await secondsUsed()).toBe(60);
    expect(world.trainingMessages).toHaveLength(1);
    await models().remove(order.name);
  });

  it("keeps so many jobs that are over, and all that are not", async () => {
    const { job } = await claimedJob(world);
    const open = await create({ training_file: job.training_file });
    await runInDurableObject(tuning(), (_, { storage }) => {
      const rows = new TuningRows(storage.sql);
      const found = rows.find(open.id as TuningJobId);
      if (found === null) throw new Error("no job");
      const course = { ...found.course, status: "cancelled", finishedAt: 1 } as const;
      for (let at = 0; at < tuningLimits.finishedMax + 10; at += 1) {
        const id = formatTuningJobId(at.toString(16).padStart(32, "0"));
        rows.add({ ...found, id });
        rows.keep({ ...found, id, course });
      }
    });
    const ids = await vi.waitFor(async () => {
      await runDurableObjectAlarm(tuning());
      const listed = await allIds();
      expect(listed).toHaveLength(tuningLimits.finishedMax + 2);
      return listed;
    });
    expect(ids).toEqual(expect.arrayContaining([job.id, open.id]));
    expect(ids).not.toContain(formatTuningJobId("0".repeat(32)));
  });
});

async function allIds(): Promise<string[]> {
  const ids: string[] = [];
  for (let after = ""; ;) {
    const page = await (
      await get(`?limit=1000${after}`)
    ).json<{
      data: { id: string }[];
      has_more: boolean;
    }>();
    ids.push(...page.data.map(({ id }) => id));
    if (!page.has_more) return ids;
    after = `&after=${ids.at(-1)}`;
  }
}

async function nothingIsLeft(name: string): Promise<void> {
  await vi.waitFor(async () => {
    await runDurableObjectAlarm(tuning());
    expect(await models().find(name)).toBeNull();
    expect(resultKeys().filter((key) => key.includes(name.slice(-32)))).toEqual([]);
  });
}
