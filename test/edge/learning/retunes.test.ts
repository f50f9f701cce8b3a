/**
 * An alias that learns from corrections: when a training begins, on what, and what becomes of the alias. The worker
 * that trains is played; everything else is the product.
 */
import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { keyOfFile } from "../../../edge/files/stored-file.ts";
import { call, errorOf } from "../caller.ts";
import { claim, create, retrieve, sentFor } from "../fine-tuning/tuning-in-tests.ts";
import { type OutsideWorld } from "../jobs/outside-world.ts";
import { miniLm } from "../stand-in-worker.ts";
import { reportWith } from "./report-sample.ts";

import {
  aliased,
  asked,
  beginRetunes,
  begun,
  correct,
  endRetunes,
  eventually,
  isIdle,
  learning,
  oldLines,
  models,
  path,
  pointedTo,
  post,
  show,
  train,
  trainingFile,
} from "./retune-in-tests.ts";

let world: OutsideWorld;

beforeEach(async () => {
  world = await beginRetunes();
});
afterEach(endRetunes);

describe("a re-tune", () => {
  it("trains on old and new, and the alias moves where the report says better", async () => {
    const { name, file, job: first } = await aliased();
    expect(await asked()).toMatchObject({
      object: "alias.retune",
      alias: "ft:@mood",
      min_examples: 2,
      every_days: null,
      training_files: [file],
      new_examples: 0,
      status: "idle",
      next_at: null,
    });
    await correct("Fine.", "good");
    await runDurableObjectAlarm(learning());
    expect(await show()).toMatchObject({ new_examples: 1, status: "idle" });
    await correct("Ça, non.", "bad");
    const run = await begun();
    const job = await retrieve(run.job);
    expect(job).toMatchObject({
      model: first.model,
      suffix: "mood",
      seed: 3,
      skip_invalid: true,
      metadata: { retune_of: "mood" },
    });
    const text = new TextDecoder().decode(world.objects.get(keyOfFile(run.file)));
    expect(text).toBe(
      `${oldLines.join("\n")}\n{"text":"Fine.","label":"good"}\n{"text":"Ça, non.","label":"bad"}\n`,
    );
    const order = await train(run.job, reportWith("deploy", 0.8));
    const done = await eventually(isIdle);
    expect(done).toMatchObject({ new_examples: 0, job: null });
    expect(done.events[0]?.message).toContain(`${order.name} is better`);
    expect(done.events[0]?.message).not.toContain("..");
    expect(await pointedTo()).toBe(order.name);
    const back = await call("/v1/aliases/mood/rollback", undefined, {
      operator: true,
      method: "POST",
    });
    expect(await back.json()).toMatchObject({ model: name });
  });

  it("leaves corrections of two texts out where it learnt from single ones, and says so", async () => {
    await aliased();
    await asked();
    await correct("Fine.", "good");
    const pair = { text: "Fine.", text_pair: "Good." };
    await post("/v1/feedback", { model: "ft:@mood", input: pair, label: "good" });
    const run = await begun();
    const text = new TextDecoder().decode(world.objects.get(keyOfFile(run.file)));
    expect(text).toBe(`${oldLines.join("\n")}\n{"text":"Fine.","label":"good"}\n`);
    expect((await show()).events[0]).toMatchObject({
      level: "warn",
      message: expect.stringMatching(/^1 correction is left out: 1 of two texts/),
    });
  });

  it("of a model that went on from another goes on from the same, or from itself", async () => {
    const { name: first, file } = await aliased();
    const goesOn = await create({ model: first, training_file: file, suffix: "mood" });
    const { name: second, start } = await train(goesOn.id, reportWith("deploy", 0.75));
    expect(start?.source.name).toBe(first);
    await models().pointAlias({ name: "mood", model: second, rollout: null });
    await asked({ min_examples: 1 });
    await correct("Fine.", "good");
    const again = await begun();
    expect(await retrieve(again.job)).toMatchObject({ model: first });
    const order = await train(again.job, reportWith("no_gain", 0.2));
    expect(order).toMatchObject({ model: miniLm.id, start: { source: { name: first } } });
    await eventually(isIdle);
    await models().remove(first);
    await correct("Good.", "good");
    const last = await begun();
    expect(await retrieve(last.job)).toMatchObject({ model: second });
    await sentFor(world, last.job);
    expect((await claim(last.job))?.start?.source.name).toBe(second);
  });

  it("leaves the alias where it does not, deletes the model and says why", async () => {
    const { name } = await aliased();
    await asked({ min_examples: 1 });
    await correct("Fine.", "good");
    const run = await begun();
    const order = await train(run.job, reportWith("no_gain", 0.2));
    const { events } = await eventually(isIdle);
    expect(events[0]?.message).toContain("No gain: macro F1 is 0.2");
    expect(await pointedTo()).toBe(name);
    expect(await models().find(order.name)).toBeNull();
    // It is not tried again with the same.
    await runDurableObjectAlarm(learning());
    expect(await show()).toMatchObject({ status: "idle", new_examples: 0 });
  });

  it("is not better where it is worse on the same held-out rows", async () => {
    const { name } = await aliased(reportWith("deploy", 0.7), {
      validation_file: await trainingFile(),
    });
    await asked({ min_examples: 1 });
    await correct("Fine.", "good");
    const run = await begun();
    await train(run.job, reportWith("deploy", 0.65));
    const { events } = await eventually(isIdle);
    expect(events[0]?.message).toContain("0.6500, and of the model before 0.7000");
    expect(await pointedTo()).toBe(name);
  });

  it("begins on its day, with whatever is new", async () => {
    await aliased();
    const { next_at: next } = await asked({ every_days: 2 });
    expect(next).toBeGreaterThan(Date.now() / 1_000 + 86_400);
    await correct("Fine.", "good");
    await runDurableObjectAlarm(learning());
    expect(await show()).toMatchObject({ status: "idle", new_examples: 1 });
    await runInDurableObject(learning(), (_, { storage }) => {
      storage.sql.exec("UPDATE retunes SET state = json_set(state, '$.since', 0)");
    });
    await eventually(({ job }) => job !== null);
  });

  it("begins with a share of the requests where one is asked for", async () => {
    const { name } = await aliased();
    await asked({ min_examples: 1, share: 0.25 });
    await correct("Fine.", "good");
    const run = await begun();
    const order = await train(run.job, reportWith("deploy", 0.9));
    await eventually(isIdle);
    expect(await models().findAlias("mood")).toMatchObject({
      model: name,
      rollout: { model: order.name, share: 0.25 },
    });
  });

  it("leaves an alias alone that its owner has pointed elsewhere meanwhile", async () => {
    await aliased();
    const other = await create({ training_file: await trainingFile() });
    const { name } = await train(other.id, reportWith("deploy", 0.9));
    await asked({ min_examples: 1 });
    await correct("Fine.", "good");
    const run = await begun();
    await models().pointAlias({ name: "mood", model: name, rollout: null });
    const order = await train(run.job, reportWith("deploy", 0.9));
    const { events } = await eventually(isIdle);
    expect(events[0]).toMatchObject({ level: "warn" });
    expect(await pointedTo()).toBe(name);
    expect(await models().find(order.name)).not.toBeNull();
  });

  it("waits while the key has as many jobs as it may, and begins one job in all", async () => {
    const { file } = await aliased();
    const others = await Promise.all([1, 2, 3, 4].map(() => create({ training_file: file })));
    await asked({ min_examples: 1 });
    await correct("Fine.", "good");
    const waits = await eventually(({ events }) => events[0]?.level === "warn");
    expect(waits).toMatchObject({ status: "running", job: null });
    expect(waits.events[0]?.message).toContain("as many fine-tuning jobs");
    await runDurableObjectAlarm(learning());
    expect((await show()).events).toHaveLength(2);
    for (const { id } of others) {
      await call(`/v1/fine_tuning/jobs/${id}/cancel`, undefined, {
        operator: true,
        method: "POST",
      });
    }
    await eventually(({ job }) => job !== null);
  });

  it("does nothing twice, whatever breaks off on the way", async () => {
    await aliased();
    await asked({ min_examples: 1 });
    await correct("Fine.", "good");
    world.storeIsUp = false;
    const stub = learning();
    await runDurableObjectAlarm(stub);
    await runDurableObjectAlarm(stub);
    expect(await show()).toMatchObject({ status: "running", job: null });
    world.storeIsUp = true;
    await abortAllDurableObjects();
    const run = await begun();
    // As after a crash before the end of each step was kept.
    for (const step of ["write", "create"]) {
      await runInDurableObject(learning(), (_, { storage }) => {
        storage.sql.exec("UPDATE retunes SET state = json_set(state, '$.run.step', ?)", step);
      });
      await abortAllDurableObjects();
      expect(await begunAgain()).toBe(run.job);
    }
    const order = await train(run.job, reportWith("deploy", 0.9));
    await abortAllDurableObjects();
    await eventually(isIdle);
    expect(await pointedTo()).toBe(order.name);
    const jobs = await call("/v1/fine_tuning/jobs?metadata[retune_of]=mood", undefined, {
      operator: true,
    });
    expect((await jobs.json<{ data: object[] }>()).data).toHaveLength(1);
    const stored = await call("/v1/files", undefined, { operator: true });
    const { data } = await stored.json<{ data: { id: string; filename: string }[] }>();
    const made = data.filter(({ filename }) => filename === "retune-mood.jsonl");
    expect(made.map(({ id }) => id)).toContain(run.file);
    expect(new Set(made.map(({ id }) => id)).size).toBe(made.length);
  });

  it("ends with its alias", async () => {
    await aliased();
    await asked({ min_examples: 1 });
    await call("/v1/aliases/mood", undefined, { operator: true, method: "DELETE" });
    await runInDurableObject(learning(), (_, { storage }) => {
      expect(storage.sql.exec("SELECT * FROM retunes").toArray()).toEqual([]);
    });
  });
});

async function begunAgain(): Promise<string | null> {
  return (await eventually(({ job }) => job !== null)).job;
}

describe("what is refused", () => {
  it("files that corrections cannot be put to, and aliases that are not there", async () => {
    await aliased();
    const csv = await trainingFile("text,label\na,b", { container: "csv" });
    const scores = await trainingFile("{}", { form: "regression" });
    const good = await trainingFile();
    for (const training_files of [[csv], [good, scores], ["file-none"], []]) {
      const response = await post(path, { training_files });
      expect(await errorOf(response)).toMatchObject({ status: 400, param: "training_files" });
    }
    for (const body of [{ min_examples: 0 }, { every_days: 0 }, { share: 1 }, { other: 1 }])
      expect(await errorOf(await post(path, body))).toMatchObject({ status: 400 });
    expect(await errorOf(await post("/v1/aliases/nobody/retune", {}))).toMatchObject({
      status: 404,
    });
    expect(await errorOf(await call(path, undefined, { operator: true }))).toMatchObject({
      status: 404,
    });
    expect(await errorOf(await call(path, {}))).toMatchObject({ status: 403 });
  });
});
