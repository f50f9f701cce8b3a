/** What jobs begin with beside their files: a tuned model of the key, and names of classes. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { errorOf } from "../caller.ts";
import type { OutsideWorld } from "../jobs/outside-world.ts";
import { miniLm } from "../stand-in-worker.ts";
import {
  beginTuning,
  check,
  checkedFile,
  claim,
  create,
  endTuning,
  post,
  retrieve,
  secondsUsed,
  sentFor,
  tenant,
  until,
  upload,
} from "./tuning-in-tests.ts";
import { tunedModel } from "./tuned-model-sample.ts";

let world: OutsideWorld;
const models = () => env.TUNED_MODELS.getByName(tenant);

beforeEach(async () => {
  world = await beginTuning();
});
afterEach(endTuning);

describe("a tuned model of the key", () => {
  const name = `ft:all-MiniLM-L6-v2:mood:${"a".repeat(32)}`;
  const begun = async (more: Record<string, unknown> = {}) => {
    const job = await create({ model: name, training_file: await checkedFile(world), ...more });
    await sentFor(world, job.id);
    return job;
  };

  beforeEach(async () => {
    await models().put(tunedModel({ name }));
  });
  afterEach(async () => {
    await models().remove(name);
  });

  it("is gone on from: a worker is told of its base, its kind and its files", async () => {
    const { kind, digest, files } = tunedModel({ name });
    const job = await begun({ suffix: "again" });
    expect(job).toMatchObject({ model: name });
    expect(await claim(job.id)).toMatchObject({
      model: "all-MiniLM-L6-v2",
      start: { kind, source: { name, digest, files } },
      name: `ft:all-MiniLM-L6-v2:again:${job.id.slice("ftjob-".length)}`,
    });
  });

  it("that is deleted before it is its turn fails the job", async () => {
    const { id } = await begun();
    await models().remove(name);
    expect(await claim(id)).toBeNull();
    expect((await retrieve(id)).error).toMatchObject({ code: "invalid_value", param: "model" });
    expect(await secondsUsed()).toBe(0);
  });

  it.each<["adapter" | "checkpoint", Record<string, unknown>, string]>([
    ["adapter", { strategy: "full" }, "strategy"],
    ["adapter", { strategy: "head" }, "strategy"],
    ["adapter", { strategy: "lora", lora: { rank: 4, alpha: 8 } }, "lora"],
    ["checkpoint", { strategy: "lora" }, "strategy"],
    ["checkpoint", { strategy: "head" }, "strategy"],
    ["adapter", { task: "chat" }, "model"],
  ])("that is an %s is not gone on from with %j", async (kind, more, param) => {
    // What is known of a name stays so for a second.
    const other = `ft:all-MiniLM-L6-v2:${kind}:${"b".repeat(32)}`;
    await models().put(tunedModel({ name: other, kind }));
    const body = { model: other, training_file: await upload(), ...more };
    expect(await errorOf(await post("", body))).toMatchObject({ status: 400, param });
    await models().remove(other);
  });
});

describe("names of classes", () => {
  it("with labels that label_names lacks is refused where that is known, or fails the job", async () => {
    const names = { label_names: ["positive", "neutral"] };
    const file = await upload();
    const { id } = await create({ training_file: file, ...names });
    await check(world, file);
    expect((await until(id, "failed")).error).toMatchObject({
      param: "label_names",
      message: expect.stringMatching(
        /has no "negative", which the examples have.*"positive", "neutral"/,
      ),
    });
    const known = await errorOf(
      await post("", { model: miniLm.id, training_file: file, ...names }),
    );
    expect(known).toMatchObject({ status: 400, param: "label_names" });
    const label_names = ["neutral", "negative", "positive"];
    const taken = await create({ training_file: file, label_names });
    await sentFor(world, taken.id);
    expect(await claim(taken.id)).toMatchObject({ options: { labelNames: label_names } });
    expect(await retrieve(taken.id)).toMatchObject({ label_names });
  });
});
