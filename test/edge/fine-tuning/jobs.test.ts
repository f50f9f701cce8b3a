/** Fine-tuning jobs as callers ask for them: what is taken, what is refused, what is shown. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { call, errorOf } from "../caller.ts";
import type { OutsideWorld } from "../jobs/outside-world.ts";
import { decoder, miniLm } from "../stand-in-worker.ts";
import {
  beginTuning,
  check,
  claim,
  claimedJob,
  create,
  endTuning,
  get,
  idsOf,
  post,
  progressOf,
  report,
  retrieve,
  secondsUsed,
  sentFor,
  tenant,
  until,
  upload,
} from "./tuning-in-tests.ts";
import { tunedModel } from "./tuned-model-sample.ts";

const path = "/v1/fine_tuning/jobs";
const nobodys = `ftjob-${"0".repeat(32)}`;
let world: OutsideWorld;

beforeEach(async () => {
  world = await beginTuning([miniLm, decoder]);
});
afterEach(endTuning);

const pairs = (count: number, length = 1) =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`k${at}`, "v".repeat(length)]));

describe("a job", () => {
  it("waits for its file, then for a worker, and shows what was asked for", async () => {
    const file = await upload();
    const job = await create({
      model: "sentence-transformers/all-MiniLM-L6-v2",
      training_file: file,
      suffix: "mood",
      seed: 7,
      metadata: { team: "support" },
      method: { type: "supervised", supervised: { hyperparameters: { n_epochs: 3 } } },
      strategy: "lora",
      lora: { rank: 4, alpha: 8 },
      label_smoothing: 0.05,
      early_stopping: { patience: 2, threshold: 0 },
      max_seconds: 60,
      validation_file: null,
      integrations: [],
    });
    expect(job).toMatchObject({
      object: "fine_tuning.job",
      status: "validating_files",
      model: "all-MiniLM-L6-v2",
      training_file: file,
      validation_file: null,
      seed: 7,
      metadata: { team: "support" },
      hyperparameters: { n_epochs: 3, batch_size: "auto", learning_rate_multiplier: "auto" },
      strategy: "lora",
      lora: { rank: 4, alpha: 8 },
      label_smoothing: 0.05,
      early_stopping: { patience: 2, threshold: 0 },
      max_seconds: 60,
      fine_tuned_model: null,
      finished_at: null,
      trained_tokens: null,
      result_files: [],
      progress: null,
      report: null,
    });
    expect(world.trainingMessages).toEqual([]);
    await check(world, file);
    await until(job.id, "queued");
    await sentFor(world, job.id);
    expect(await claim(job.id)).toMatchObject({
      attempt: 1,
      model: "all-MiniLM-L6-v2",
      training: { filename: `${file}.jsonl`, object: { key: `files/${file}` } },
      validation: null,
      options: {
        epochs: 3,
        batch: null,
        lora: { rank: 4, alpha: 8 },
        labelSmoothing: 0.05,
        seed: 7,
        maxSeconds: 60,
      },
      name: `ft:all-MiniLM-L6-v2:mood:${job.id.slice("ftjob-".length)}`,
    });
    expect(await retrieve(job.id)).toMatchObject({
      status: "running",
      task: "text-classification",
    });
  });

  it("takes a soft prompt, of as many tokens as are usual", async () => {
    const asked = { strategy: "soft-prompt", soft_prompt: { initial_text: "Be brief." } };
    const { soft_prompt } = await create({ training_file: await upload(), ...asked });
    expect(soft_prompt).toEqual({ virtual_tokens: 20, initial_text: "Be brief." });
  });

  it("may take a quarter of an hour where nothing else is said", async () => {
    const { max_seconds } = await create({ training_file: await upload() });
    expect(max_seconds).toBe(900);
  });

  it("has a seed of its own where none was sent", async () => {
    const training_file = await upload();
    const seeds = [await create({ training_file }), await create({ training_file })];
    expect(seeds[0]?.seed).not.toBe(seeds[1]?.seed);
  });

  it("is listed, the newest first, by pages and by metadata", async () => {
    const training_file = await upload();
    const made = [];
    for (const metadata of [{ a: "1" }, { a: "2", b: "x" }, undefined])
      made.push((await create({ training_file, metadata })).id);
    const [first, second, third] = made;
    expect(await idsOf("")).toEqual([false, third, second, first]);
    expect(await idsOf("?limit=2")).toEqual([true, third, second]);
    expect(await idsOf(`?limit=2&after=${second}`)).toEqual([false, first]);
    expect(await idsOf("?metadata[a]=2&metadata[b]=x")).toEqual([false, second]);
    expect(await idsOf("?metadata[a]=x")).toEqual([false]);
    expect(await idsOf("?metadata=null")).toEqual([false, third]);
    expect(await errorOf(await get(`?after=${nobodys}`))).toMatchObject({ status: 404 });
    expect(await errorOf(await get("?limit=0"))).toMatchObject({ status: 400, param: "limit" });
    expect(await errorOf(await get("?order=asc"))).toMatchObject({ status: 400, param: "order" });
  });
});

describe("what is refused", () => {
  const base = { model: "all-MiniLM-L6-v2", training_file: "" };

  it.each<[string, Record<string, unknown>, string, string]>([
    ["no model", { model: undefined }, "missing_required_parameter", "model"],
    ["no file", { training_file: undefined }, "missing_required_parameter", "training_file"],
    ["nobody's file", { training_file: "file-abc" }, "invalid_value", "training_file"],
    ["nobody's other file", { validation_file: "x" }, "invalid_value", "validation_file"],
    ["a model nobody has", { model: "gpt-4o-mini" }, "model_not_found", "model"],
    ["a tuned model nobody has", { model: `ft:a::${"0".repeat(32)}` }, "model_not_found", "model"],
    ["an unknown field", { labels: [] }, "unknown_parameter", "labels"],
    ["no names", { label_names: [] }, "invalid_value", "label_names"],
    ["a name twice", { label_names: ["a", "b", "a"] }, "invalid_value", "label_names"],
    [
      "a dry run of nobody's file",
      { dry_run: true, training_file: "x" },
      "invalid_value",
      "training_file",
    ],
    [
      "integrations",
      { integrations: [{ type: "wandb" }] },
      "unsupported_parameter",
      "integrations",
    ],
    ["dpo", { method: { type: "dpo" } }, "unsupported_parameter", "method.type"],
    [
      "dpo beside",
      { method: { type: "supervised", dpo: {} } },
      "unsupported_parameter",
      "method.dpo",
    ],
    ["another method", { method: { type: "x" } }, "invalid_value", "method.type"],
    [
      "epochs beyond",
      { hyperparameters: { n_epochs: 51 } },
      "invalid_value",
      "hyperparameters.n_epochs",
    ],
    ["a long suffix", { suffix: "x".repeat(65) }, "invalid_value", "suffix"],
    ["a suffix with colons", { suffix: "a:b" }, "invalid_value", "suffix"],
    ["a negative seed", { seed: -1 }, "invalid_value", "seed"],
    ["a rate beyond", { learning_rate: 11 }, "invalid_value", "learning_rate"],
    ["a seed beyond", { seed: 2 ** 31 }, "invalid_value", "seed"],
    ["many pairs", { metadata: pairs(17) }, "invalid_value", "metadata"],
    ["a long value", { metadata: pairs(1, 513) }, "invalid_value", "metadata.k0"],
    ["a long key", { metadata: { ["k".repeat(65)]: "" } }, "invalid_value", "metadata"],
    ["a value that is no text", { metadata: { a: 1 } }, "invalid_value", "metadata.a"],
    ["layers alone", { layers: 2 }, "invalid_value", "layers"],
    ["lora alone", { lora: { rank: 4, alpha: 8 } }, "invalid_value", "lora"],
    ["a soft prompt alone", { soft_prompt: { virtual_tokens: 4 } }, "invalid_value", "soft_prompt"],
    ["smoothing of all", { label_smoothing: 1 }, "invalid_value", "label_smoothing"],
    [
      "smoothing of a head",
      { label_smoothing: 0.1, strategy: "head" },
      "invalid_value",
      "label_smoothing",
    ],
    ["a task of decoders", { task: "chat" }, "invalid_value", "model"],
    ["no seconds", { max_seconds: 0 }, "invalid_value", "max_seconds"],
    [
      "two rates",
      { learning_rate: 1, hyperparameters: { learning_rate_multiplier: 2 } },
      "invalid_value",
      "learning_rate",
    ],
    [
      "settings twice",
      {
        hyperparameters: {},
        method: { type: "supervised", supervised: { hyperparameters: {} } },
      },
      "invalid_value",
      "hyperparameters",
    ],
  ])("%s", async (_, more, code, param) => {
    const body = { ...base, training_file: await upload(), ...more };
    const refused = await errorOf(await post("", body));
    expect(refused).toMatchObject({ code, param });
    expect(refused.status).toBe(code === "model_not_found" ? 404 : 400);
    expect(refused.message).toMatch(/\. |…/);
    expect(await secondsUsed()).toBe(0);
  });

  it.each<[object, string]>([
    [{ seed: 1e30 }, "seed is over its limit of 2147483647. "],
    [
      { hyperparameters: { n_epochs: "3" } },
      'hyperparameters.n_epochs must be "auto" or a number. ',
    ],
    [{ hyperparameters: { n_epochs: 0 } }, "hyperparameters.n_epochs must be greater than 0. "],
  ])("%o in words that say what may be sent", async (more, words) => {
    const { message } = await errorOf(await post("", { ...base, ...more }));
    expect(message).toContain(words);
  });

  it.each<[string, string | Uint8Array, number]>([
    ["nothing", "", 400],
    ["no object", "[]", 400],
    ["null", "null", 400],
    ["no JSON", "{", 400],
    ["no UTF-8", new Uint8Array([0x7b, 0xff, 0x7d]), 400],
    ["too much", JSON.stringify({ metadata: { a: "x".repeat(300_000) } }), 413],
    ["a number beyond all", '{"model": "a", "training_file": "b", "learning_rate": 1e999}', 400],
    ["a prototype", '{"__proto__": {"model": "x"}}', 400],
  ])("a body that is %s", async (_, body, status) => {
    expect((await errorOf(await post("", body))).status).toBe(status);
  });

  it("who has no key", async () => {
    for (const [method, address] of [
      ["POST", path],
      ["GET", path],
      ["GET", `${path}/${nobodys}`],
      ["POST", `${path}/${nobodys}/cancel`],
      ["GET", `${path}/${nobodys}/events`],
      ["GET", `${path}/${nobodys}/checkpoints`],
    ] as const) {
      const response = await call(address, undefined, { method });
      expect(await errorOf(response)).toMatchObject({
        status: 403,
        code: "insufficient_permissions",
      });
    }
  });

  it.each(["ftjob-1", nobodys, "..", "ftjob-%00"])("an id that is nobody's: %s", async (id) => {
    for (const response of [
      await get(`/${id}`),
      await get(`/${id}/events`),
      await get(`/${id}/checkpoints`),
      await post(`/${id}/cancel`),
      await post(`/${id}/pause`),
      await post(`/${id}/resume`),
    ])
      expect(response.status).toBe(404);
  });

  it("workers without the secret", async () => {
    for (const address of ["/internal/training/claim", "/internal/training/reports"]) {
      const response = await call(
        address,
        { id: nobodys, tenant, worker: "w" },
        { operator: true },
      );
      expect(response.status).toBe(401);
    }
  });
});

describe("how much", () => {
  it("one runs and three wait; of a paused one the place is free", async () => {
    const { job } = await claimedJob(world, { max_seconds: 10 });
    const training_file = job.training_file;
    const waiting = [];
    for (let at = 0; at < 3; at += 1)
      waiting.push(await create({ training_file, max_seconds: 10 }));
    const refused = await post("", { model: miniLm.id, training_file });
    expect(await errorOf(refused)).toMatchObject({ status: 429, code: "rate_limit_exceeded" });
    expect(await secondsUsed()).toBe(40);
    expect(await (await post(`/${waiting[2]?.id}/cancel`)).json()).toMatchObject({
      status: "cancelled",
    });
    expect(await secondsUsed()).toBe(30);
    await until(waiting[0]?.id ?? "", "queued");
    expect((await post(`/${waiting[0]?.id}/pause`)).status).toBe(200);
    await create({ training_file, max_seconds: 10 });
    await create({ training_file, max_seconds: 10 });
    const resumed = await errorOf(await post(`/${waiting[0]?.id}/resume`));
    expect(resumed).toMatchObject({ status: 429, code: "rate_limit_exceeded" });
    // The message of one job alone was sent.
    expect(new Set(world.trainingMessages.map(({ id }) => id))).toEqual(new Set([job.id]));
  });

  it("so many seconds a day, given back at the end, and again on the next day", async () => {
    const { job, order } = await claimedJob(world, { max_seconds: 14_000 });
    const training_file = job.training_file;
    const more = { model: miniLm.id, training_file, max_seconds: 500 };
    const refused = await post("", more);
    expect(refused.headers.get("x-should-retry")).toBe("false");
    expect(await errorOf(refused)).toMatchObject({
      status: 429,
      code: "insufficient_quota",
      param: "max_seconds",
      message: expect.stringMatching(/max_seconds is 500.*14400 seconds.*400 are left/s),
    });
    await report(order, { progress: progressOf(99.5), outcome: { kind: "cancelled" } });
    expect(await secondsUsed()).toBe(100);
    const { id } = await create({ training_file, max_seconds: 14_300 });
    const now = Date.now();
    const midnight = Math.ceil(now / 86_400_000) * 86_400_000;
    const clock = vi.spyOn(Date, "now").mockReturnValue(midnight - 1);
    expect((await post("", more)).status).toBe(429);
    clock.mockReturnValue(midnight);
    expect((await post("", more)).status).toBe(200);
    expect(await secondsUsed()).toBe(500);
    // What was reserved yesterday is given back to yesterday.
    await post(`/${id}/cancel`);
    expect(await secondsUsed()).toBe(500);
  });

  it("no more tuned models than a key may have", async () => {
    const models = env.TUNED_MODELS.getByName(tenant);
    const names = Array.from(
      { length: 20 },
      (_, at) => `ft:all-MiniLM-L6-v2::${String(at).padStart(32, "0")}`,
    );
    for (const name of names) await models.put(tunedModel({ name }));
    const refused = await post("", { model: miniLm.id, training_file: await upload() });
    expect(await errorOf(refused)).toMatchObject({ status: 429, code: "insufficient_quota" });
    for (const name of names) await models.remove(name);
  });
});
