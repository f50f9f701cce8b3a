/** Files of fine-tuning jobs: which can be trained with, and when that is told. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { problemAt } from "../../../contract/training/problems.ts";
import { errorOf } from "../caller.ts";
import type { OutsideWorld } from "../jobs/outside-world.ts";
import { decoder, miniLm } from "../stand-in-worker.ts";
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

let world: OutsideWorld;

beforeEach(async () => {
  world = await beginTuning([miniLm, decoder]);
});
afterEach(endTuning);

describe("a file", () => {
  it("with bad examples fails the job by the first of them, unless they are to be left out", async () => {
    const bad = {
      bad_examples: 2,
      examples: 18,
      problems: [problemAt(3, { code: "invalid_json" })],
    };
    const file = await checkedFile(world, bad);
    const refused = await create({ training_file: file });
    expect((await until(refused.id, "failed")).error).toMatchObject({
      code: "invalid_value",
      message: expect.stringMatching(/2 of 20 examples.*line 3: it is not JSON.*skip_invalid/s),
      param: "training_file",
    });
    expect((await retrieve(refused.id)).finished_at).not.toBeNull();
    const taken = await create({ training_file: file, skip_invalid: true });
    await until(taken.id, "queued");
  });

  it("without enough good examples fails the job even so", async () => {
    const training_file = await checkedFile(world, {
      examples: 0,
      bad_examples: 5,
      form: null,
      task: null,
      problems: [problemAt(null, { code: "unknown_form", found: "x", expected: "text" })],
    });
    const { id } = await create({ training_file, skip_invalid: true });
    expect((await until(id, "failed")).error).toMatchObject({ param: "training_file" });
  });

  it("that is deleted meanwhile fails the job, before it is checked and before it is claimed", async () => {
    const file = await upload();
    const early = await create({ training_file: file });
    await env.FILES.getByName(tenant).remove(file);
    expect((await until(early.id, "failed")).error).toMatchObject({ param: "training_file" });
    const other = await checkedFile(world);
    const late = await create({ training_file: other });
    await sentFor(world, late.id);
    await env.FILES.getByName(tenant).remove(other);
    expect(await claim(late.id)).toBeNull();
    expect(await retrieve(late.id)).toMatchObject({ status: "failed" });
    expect(await secondsUsed()).toBe(0);
  });

  it("of another form than the validation file fails the job", async () => {
    const training_file = await checkedFile(world);
    const validation_file = await checkedFile(world, {
      form: "tags",
      task: "token-classification",
    });
    const { id } = await create({ training_file, validation_file });
    expect((await until(id, "failed")).error).toMatchObject({ param: "validation_file" });
  });

  it("for another task than was asked for is refused where that is known, or fails the job", async () => {
    const task = "token-classification";
    const words = /are for text-classification, and task is token-classification\. .*tags or spans/;
    const early = await upload();
    const { id } = await create({ training_file: early, task });
    await check(world, early);
    expect((await until(id, "failed")).error).toMatchObject({
      param: "task",
      message: expect.stringMatching(words),
    });
    const known = await post("", { model: miniLm.id, training_file: early, task });
    const refused = await errorOf(known);
    expect(refused).toMatchObject({ status: 400, param: "task" });
    expect(refused.message).toMatch(words);
  });

  it("that the base cannot learn is refused where that is known, or fails the job", async () => {
    const chat = { form: "chat", task: "chat" } as const;
    const known = await post("", {
      model: "all-MiniLM-L6-v2",
      training_file: await vi.waitFor(async () => {
        const file = await checkedFile(world, chat);
        expect((await env.FILES.getByName(tenant).find(tenant, file))?.status).toBe("processed");
        return file;
      }),
    });
    expect(await errorOf(known)).toMatchObject({
      status: 400,
      param: "model",
      message: expect.stringMatching(/is an encoder, and chat is learnt by a model that writes/),
    });
    const file = await upload();
    const { id } = await create({ model: decoder.id, training_file: file });
    await check(world, file);
    expect((await until(id, "failed")).error).toMatchObject({ param: "model" });
  });
});
