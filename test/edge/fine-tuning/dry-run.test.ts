/** What a job would do and cost, asked of a worker through the public door: nothing is created. */
import { runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { shardOfJobId } from "../../../contract/job-id.ts";
import { tasks } from "../../../contract/tasks.ts";
import { TuningDryRun } from "../../../edge/routes/plan-tuning-job.ts";
import { call, errorOf } from "../caller.ts";
import { call as callFor, report as reportJobs, started } from "../jobs/caller-and-worker.ts";
import type { OutsideWorld } from "../jobs/outside-world.ts";
import { miniLm } from "../stand-in-worker.ts";
import {
  beginTuning,
  create,
  endTuning,
  fail,
  get,
  messageOf,
  secondsUsed,
  succeed,
  tuning,
  upload,
} from "./tuning-in-tests.ts";

const path = "/v1/fine_tuning/jobs";
const plan = tasks["tuning-plan"].example.output;
let world: OutsideWorld;

beforeEach(async () => {
  world = await beginTuning();
});
afterEach(endTuning);

/** Another's may be among the messages: each test has files of its own. */
function askOf(training_file: string, more: object = {}) {
  const body = { model: miniLm.id, training_file, dry_run: true, ...more };
  return call(path, body, { operator: true });
}

const messageFor = (file: string) =>
  messageOf(
    world,
    ({ task, inputs }) => task === "tuning-plan" && JSON.stringify(inputs).includes(file),
  );

describe("a dry run", () => {
  it("is a job of the base's that a worker answers, and creates nothing", async () => {
    const [training, validation] = [await upload(), await upload()];
    const asked = askOf(training, {
      validation_file: validation,
      label_names: ["a", "b"],
      max_seconds: 60,
    });
    const message = await messageFor(training);
    expect(message).toMatchObject({
      model: miniLm.id,
      inputs: [
        {
          training: { object: { key: `files/${training}` } },
          validation: { object: { key: `files/${validation}` } },
          options: { maxSeconds: 60, labelNames: ["a", "b"], strategy: "auto" },
        },
      ],
    });
    await succeed(message, { ...plan, warnings: ["12 examples leak"] });
    const answer = await asked;
    expect(answer.status).toBe(200);
    const body = TuningDryRun.parse(await answer.json());
    expect(body).toMatchObject({
      object: "fine_tuning.dry_run",
      model: miniLm.id,
      training_file: training,
      validation_file: validation,
      settings: plan.settings,
      warnings: ["12 examples leak"],
    });
    expect(await secondsUsed()).toBe(0);
    expect(await (await get("")).json()).toMatchObject({ data: [] });
    expect(world.trainingMessages).toEqual([]);
  });

  it("goes one at a time for each key, whatever became of the one before", async () => {
    const [first, second] = [await upload(), await upload()];
    const asked = askOf(first);
    const message = await messageFor(first);
    expect(await errorOf(await askOf(second))).toMatchObject({
      status: 429,
      code: "rate_limit_exceeded",
    });
    await fail(message, "model_not_servable");
    expect((await asked).status).toBe(400);
    const again = askOf(second);
    await succeed(await messageFor(second), plan);
    expect((await again).status).toBe(200);
  });

  it("ends with its caller, and gives its place to the next", async () => {
    const [first, second] = [await upload(), await upload()];
    const controller = new AbortController();
    const body = { model: miniLm.id, training_file: first, dry_run: true };
    const asked = callFor(path, { body, signal: controller.signal });
    const message = await messageFor(first);
    await reportJobs(message.shard, [started(message)], [message.id]);
    controller.abort();
    await asked;
    await vi.waitFor(async () => {
      const { cancelled } = await reportJobs(shardOfJobId(message.id) ?? 0, [], [message.id]);
      expect(cancelled).toEqual([message.id]);
    });
    const next = askOf(second);
    await succeed(await messageFor(second), plan);
    expect((await next).status).toBe(200);
  });

  it("is refused as a job is", async () => {
    const training_file = await upload();
    expect(await errorOf(await askOf("file-x"))).toMatchObject({
      status: 400,
      param: "training_file",
    });
    expect(await errorOf(await askOf(training_file, { model: "gpt-4o" }))).toMatchObject({
      status: 404,
    });
    const anonymous = await call(path, { model: miniLm.id, training_file, dry_run: true });
    expect(anonymous.status).toBe(403);
  });

  it("leaves a job that follows alone", async () => {
    const training_file = await upload();
    const asked = askOf(training_file);
    const job = await create({ training_file, dry_run: false });
    expect(job.object).toBe("fine_tuning.job");
    await succeed(await messageFor(training_file), plan);
    await asked;
    await runDurableObjectAlarm(tuning());
    expect(await (await get("")).json()).toMatchObject({ data: [{ id: job.id }] });
  });
});
