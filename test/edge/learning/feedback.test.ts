/** What is said of the answers of a key's tuned models: what is kept of it, how much, and the file that it makes. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { TunedModel } from "../../../contract/training/tuned-model.ts";
import type { FileObject } from "../../../edge/files/stored-file.ts";
import { keyOfFile } from "../../../edge/files/stored-file.ts";
import { feedbackLimits } from "../../../edge/learning/feedback.ts";
import type { FeedbackCounts } from "../../../edge/routes/feedback.ts";
import { call, errorOf } from "../caller.ts";
import { openOutsideWorld, type OutsideWorld } from "../jobs/outside-world.ts";
import { announce, miniLm } from "../stand-in-worker.ts";
import { tunedModel } from "../tuned-model.ts";

const tenant = "operator";
const models = () => env.TUNED_MODELS.getByName(tenant);
const learning = () => env.LEARNING.getByName(tenant);
const alias = "ft:@mood";
const path = "/v1/feedback";
let world: OutsideWorld;
let [model, next]: [TunedModel, TunedModel] = [tunedModel(), tunedModel()];

beforeEach(async () => {
  world = openOutsideWorld();
  await announce([miniLm]);
  [model, next] = [tunedModel(), tunedModel()];
  for (const each of [model, next]) await models().put(each);
  await models().pointAlias({ name: "mood", model: model.name, rollout: null });
});
afterEach(async () => {
  await runInDurableObject(learning(), (_, { storage }) => {
    for (const table of ["feedback", "counts"]) storage.sql.exec(`DELETE FROM ${table}`);
  });
  await runInDurableObject(models(), (_, { storage }) => {
    storage.sql.exec("DELETE FROM aliases");
    storage.sql.exec("UPDATE models SET deleted = 1");
  });
  await runDurableObjectAlarm(models());
  vi.restoreAllMocks();
});

const give = (body: object, to = path) => call(to, body, { operator: true });
const ask = (query: string, method = "GET") =>
  call(`${path}${query}`, undefined, { operator: true, method });

async function given(body: object): Promise<{ status: string; form: string; examples: number }> {
  const response = await give({ model: alias, ...body });
  expect(response.status, await response.clone().text()).toBe(200);
  return response.json();
}

async function counts(name = alias): Promise<FeedbackCounts> {
  return (await ask(`?model=${name}`)).json();
}

/** Ids of the key's files: what is in them is being checked meanwhile. */
async function files(): Promise<string[]> {
  const response = await call("/v1/files", undefined, { operator: true });
  const { data }: { data: FileObject[] } = await response.json();
  return data.map(({ id }) => id);
}

/** The lines of a file of the key. */
async function exportedOf(name: string): Promise<unknown[]> {
  const response = await give({ model: name }, `${path}/export`);
  const text = await response.text();
  expect(response.status, text).toBe(200);
  const file: FileObject = JSON.parse(text);
  expect(file).toMatchObject({ purpose: "fine-tune", status: "uploaded" });
  const shown = await call(`/v1/files/${file.id}`, undefined, { operator: true });
  // What is in it may have been checked by now.
  const status = expect.stringMatching(/^(uploaded|processed)$/);
  expect(await shown.json()).toEqual({ ...file, status });
  const bytes = world.objects.get(keyOfFile(file.id)) ?? new Uint8Array();
  expect(bytes.byteLength).toBe(file.bytes);
  const lines = new TextDecoder().decode(bytes).trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line));
}

describe("a correction", () => {
  it("is kept as an example of a training file, and the last of an input counts", async () => {
    expect(await given({ input: "A delight.", label: "good" })).toMatchObject({
      status: "new",
      form: "single-label",
      examples: 1,
    });
    expect(await given({ input: "A delight.", label: "good" })).toMatchObject({ status: "known" });
    const other = { input: { text: "A delight." }, label: "great" };
    expect(await given(other)).toMatchObject({ status: "replaced", examples: 1 });
    await given({ input: { text: "Ça, non.", text_pair: "b" }, correct: { label: "bad" } });
    expect(await exportedOf(alias)).toEqual([
      { text: "A delight.", label: "great" },
      { text: "Ça, non.", text_pair: "b", label: "bad" },
    ]);
  });

  it.each([
    [{ input: "a", label: ["x", "y"] }, "multi-label", { text: "a", label: ["x", "y"] }],
    [{ input: "a", score: 4.5 }, "regression", { text: "a", score: 4.5 }],
  ])("may be %j", async (body, form, line) => {
    expect(await given(body)).toMatchObject({ form });
    expect(await exportedOf(alias)).toEqual([line]);
  });

  it("is of the model's own task", async () => {
    const tagger = tunedModel({ tasks: ["token-classification"] });
    await models().put(tagger);
    const input = { tokens: ["Ada", "in", "Rome"] };
    const tags = ["B-PER", "O", "B-LOC"];
    await given({ model: tagger.name, input, correct: { tags } });
    expect(await exportedOf(tagger.name)).toEqual([{ ...input, tags }]);
    const other = await errorOf(await give({ model: alias, input, correct: { tags } }));
    expect(other).toMatchObject({ status: 400, param: "input" });
    expect(other.message).toContain("token-classification");
    const short = await give({ model: tagger.name, input, correct: { tags: "B-PER" } });
    expect(await errorOf(short)).toMatchObject({ status: 400, param: "input" });
  });

  it("stands with its metadata in the file", async () => {
    await given({ input: "a", label: "x", metadata: { who: "Ada" } });
    expect(await exportedOf(alias)).toEqual([{ text: "a", label: "x", metadata: { who: "Ada" } }]);
  });
});

describe("a rating", () => {
  it("is counted, and no example", async () => {
    await given({ input: "a", rating: "up" });
    await given({ input: "a", rating: "down" });
    await given({ input: "b", rating: "up" });
    await given({ input: "a", label: "x" });
    expect(await counts()).toMatchObject({
      object: "feedback.counts",
      total: {
        model: alias,
        examples: 1,
        ratings: { up: 1, down: 1 },
        form: "single-label",
      },
    });
    expect(await exportedOf(alias)).toEqual([{ text: "a", label: "x" }]);
  });

  it("alone makes no file", async () => {
    await given({ input: "a", rating: "up" });
    const response = await give({ model: alias }, `${path}/export`);
    expect(await errorOf(response)).toMatchObject({ status: 400, param: "model" });
  });
});

describe("an alias", () => {
  it("has what was said of its models too, of the same input the last", async () => {
    await given({ input: "a", label: "old" });
    await given({ model: model.name, input: "a", label: "new" });
    await models().pointAlias({ name: "mood", model: next.name, rollout: null });
    await given({ model: next.name, input: "b", label: "x" });
    const { total, sources } = await counts();
    expect(total.examples).toBe(3);
    expect(sources.map((each) => each.model).toSorted()).toEqual(
      [alias, model.name, next.name].toSorted(),
    );
    expect(await exportedOf(alias)).toEqual([
      { text: "a", label: "new" },
      { text: "b", label: "x" },
    ]);
    expect((await counts(next.name)).total.examples).toBe(1);
    const deleted = await ask(`?model=${model.name}`, "DELETE");
    expect(await deleted.json()).toEqual({ object: "feedback", model: model.name, deleted: 1 });
    expect((await counts()).total.examples).toBe(2);
  });
});

describe("what is refused", () => {
  it.each([
    [{ input: "a" }, "label"],
    [{ input: "a", label: "x", rating: "up" }, "rating"],
    [{ input: "", label: "x" }, "input"],
    [{ input: "   ", label: "x" }, "input"],
    [{ input: 5, label: "x" }, "input"],
    [{ label: "x" }, "input"],
    [{ input: "a", correct: {} }, "input"],
    [{ input: "a\0", rating: "up" }, "input"],
    [{ input: "a", rating: "fine" }, "rating"],
    [{ input: "a", label: "x".repeat(2_000) }, "input"],
    [{ input: "a", label: "x", job: "job_1" }, "job"],
    [{ input: "a", label: "x", metadata: { a: "b".repeat(600) } }, "metadata.a"],
  ])("%j", async (body, param) => {
    const response = await give({ model: alias, ...body });
    expect(await errorOf(response)).toMatchObject({ status: 400, param });
    expect((await counts()).sources).toEqual([]);
  });

  it("a body that is too large, or nested too deep", async () => {
    const large = await give({ model: alias, input: "a".repeat(70_000), rating: "up" });
    expect(await errorOf(large)).toMatchObject({ status: 413 });
    for (const levels of [100, 32_000]) {
      const nested = `${"[".repeat(levels)}${"]".repeat(levels)}`;
      for (const said of ['"rating":"up"', '"label":"x"', `"correct":{"tags":[]}`]) {
        const body = `{"model":"${alias}",${said},"input":{"a":${nested}}}`;
        const response = await call(path, body, { operator: true });
        expect(await errorOf(response)).toMatchObject({ status: 400, param: "input" });
      }
    }
  });

  it("another form than what is kept", async () => {
    await given({ input: "a", label: "x" });
    const other = await errorOf(await give({ model: alias, input: "b", score: 1 }));
    expect(other).toMatchObject({ status: 400, param: "input" });
    expect(other.message).toContain("single-label");
    await ask(`?model=${alias}`, "DELETE");
    expect(await given({ input: "b", score: 1 })).toMatchObject({ form: "regression" });
  });

  it("a model that is none of the key's", async () => {
    const others = tunedModel();
    await env.TUNED_MODELS.getByName("somebody else").put(others);
    for (const name of [others.name, "ft:@nobody", "ft:nothing"]) {
      const response = await give({ model: name, input: "a", label: "x" });
      expect(await errorOf(response)).toMatchObject({ status: 404, code: "model_not_found" });
    }
    const platforms = await give({ model: miniLm.id, input: "a", label: "x" });
    expect(await errorOf(platforms)).toMatchObject({ status: 400, param: "model" });
    for (const [to, body] of [
      [path, { model: alias, input: "a", label: "x" }],
      [`${path}/export`, { model: alias }],
      [path, undefined],
    ] as const) {
      expect(await errorOf(await call(to, body))).toMatchObject({ status: 403 });
    }
  });
});

describe("a flood", () => {
  it("ends at so many of a model, where the same can be said again still", async () => {
    await given({ input: "a", label: "x" });
    await runInDurableObject(learning(), (_, { storage }) => {
      const { rowsMax } = feedbackLimits;
      storage.sql.exec("UPDATE counts SET examples = ? WHERE model = ?", rowsMax, alias);
    });
    const response = await give({ model: alias, input: "b", label: "x" });
    const refused = await errorOf(response);
    expect(refused).toMatchObject({ status: 429, code: "insufficient_quota" });
    expect(refused.message).toContain("DELETE /v1/feedback");
    expect(await given({ input: "a", label: "y" })).toMatchObject({ status: "replaced" });
  });

  it("ends at so many bytes of all", async () => {
    await given({ model: next.name, input: "a", label: "x" });
    await runInDurableObject(learning(), (_, { storage }) => {
      storage.sql.exec("UPDATE counts SET bytes = ?", feedbackLimits.bytesMax);
    });
    const response = await give({ model: alias, input: "b", rating: "up" });
    expect(await errorOf(response)).toMatchObject({ status: 429, code: "insufficient_quota" });
  });

  it("is written page by page, each once", async () => {
    const texts = Array.from({ length: 250 }, (_, at) => `text ${at}`);
    for (const text of texts) {
      const line = JSON.stringify({ text, label: "x" });
      const said = { model: alias, kind: "example", form: "single-label", digest: text } as const;
      await learning().add({ ...said, line, metadata: null });
    }
    expect(await exportedOf(alias)).toEqual(texts.map((text) => ({ text, label: "x" })));
    expect((await counts()).total.examples).toBe(250);
  });
});

it("leaves nothing behind where the store is down", async () => {
  const before = await files();
  await given({ input: "a", label: "x" });
  world.storeIsUp = false;
  const response = await give({ model: alias }, `${path}/export`);
  expect(response.status).toBe(500);
  await response.body?.cancel();
  world.storeIsUp = true;
  expect(await files()).toEqual(before);
  expect(await exportedOf(alias)).toHaveLength(1);
});
