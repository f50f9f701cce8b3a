/** A model that a key has tuned, on every route: for its owner alone, and for nobody once it is deleted. */
import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { TunedModel } from "../../../contract/training/tuned-model.ts";
import { bindingsWith, call, type CallOptions, errorOf } from "../caller.ts";
import { allRounder, announce, digest, install, messages, miniLm } from "../stand-in-worker.ts";
import { tunedModel } from "../tuned-model.ts";

const everyTask = { tasks: [...allRounder.tasks], limits: allRounder.limits ?? undefined };
let model: TunedModel;

beforeEach(async () => {
  install();
  await announce([miniLm, allRounder]);
  const { tasks, limits } = everyTask;
  model = tunedModel({ tasks, ...(limits && { limits }) });
  await models().put(model);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await models().remove(model.name);
  await runDurableObjectAlarm(models());
  vi.unstubAllGlobals();
});

const models = () => env.TUNED_MODELS.getByName("operator");
const freshIsolate = () => bindingsWith({});
const asOperator = { operator: true } satisfies CallOptions;
const pathOf = (name: string) => `/v1/models/${encodeURIComponent(name)}`;

let texts = 0;
const freshText = () => `a text for tuned models ${(texts += 1)}`;

/** A call of each surface that names a model. */
const surfaces: [string, (model: string) => { path: string; body: object }][] = [
  ["OpenAI", (name) => ({ path: "/v1/embeddings", body: { model: name, input: freshText() } })],
  [
    "chat",
    (name) => ({
      path: "/v1/chat/completions",
      body: { model: name, messages: [{ role: "user", content: freshText() }] },
    }),
  ],
  ["completions", (name) => ({ path: "/v1/completions", body: { model: name, prompt: "a" } })],
  [
    "tasks",
    (name) => ({
      path: "/v1/tasks/text-classification",
      body: { model: name, inputs: [freshText()] },
    }),
  ],
  ["tokens", (name) => ({ path: "/v1/tokenize", body: { model: name, input: freshText() } })],
  [
    "rerank",
    (name) => ({
      path: "/v1/rerank",
      body: { model: name, query: freshText(), documents: ["a", "b"] },
    }),
  ],
  ["Hugging Face", (name) => ({ path: `/hf/models/${name}`, body: { inputs: freshText() } })],
  [
    "a pipeline of Hugging Face",
    (name) => ({
      path: `/hf/models/${encodeURIComponent(name)}/pipeline/text-classification`,
      body: { inputs: freshText() },
    }),
  ],
];

const anyError = async (response: Response) => {
  const text = await response.text();
  return { status: response.status, text };
};

describe.each(surfaces)("on the surface of %s", (_, callFor) => {
  it("answers its owner, and the message says where its files are", async () => {
    const { path, body } = callFor(model.name);
    const response = await call(path, body, asOperator);
    expect(response.status, await response.clone().text()).toBe(200);
    expect(messages).toHaveLength(1);
    const { name, digest: files, files: list } = model;
    expect(messages[0]).toMatchObject({ model: name, tenant: "operator" });
    expect(messages[0]?.tuned).toEqual({ name, digest: files, files: list });
  });

  it("is not there for anybody else, as a model that never was", async () => {
    const { path, body } = callFor(model.name);
    const stranger = await anyError(await call(path, body));
    const nobody = model.name.replace(/.$/, "f");
    const unknown = callFor(nobody);
    const never = await anyError(await call(unknown.path, unknown.body, asOperator));
    expect(stranger.status).toBe(404);
    expect(stranger.text.replaceAll(model.name, nobody)).toBe(never.text);
    expect(messages).toEqual([]);
  });
});

describe("the list of models", () => {
  it("has it for its owner, after the others", async () => {
    const listed = await call("/v1/models", undefined, asOperator);
    const { data } = await listed.json<{ data: { id: string }[] }>();
    expect(data.at(-1)).toMatchObject({
      id: model.name,
      object: "model",
      owned_by: "operator",
      created: Math.floor(model.createdAt / 1_000),
      base_model: "all-MiniLM-L6-v2",
      tasks: model.tasks,
      status: "available",
      size_bytes: 20,
    });
    const one = await call(pathOf(model.name), undefined, asOperator);
    expect(await one.json()).toEqual(data.at(-1));
    expect(data[0]).not.toHaveProperty("base_model");
  });

  it("has it for nobody else, whose calls ask no object for one", async () => {
    const asked = vi.spyOn(env.TUNED_MODELS, "getByName");
    const bindings = { ...env, TUNED_MODELS: env.TUNED_MODELS };
    const listed = await call("/v1/models", undefined, { bindings });
    expect(await listed.text()).not.toContain("ft:");
    const one = await call(pathOf(model.name), undefined, { bindings });
    expect(await errorOf(one)).toMatchObject({ status: 404, code: "model_not_found" });
    // Nor do its owner's for a name of another kind.
    const platforms = { model: miniLm.id, input: freshText() };
    await call("/v1/embeddings", platforms, { ...asOperator, bindings });
    await call("/v1/models/ft:nothing", undefined, { ...asOperator, bindings });
    expect(asked).not.toHaveBeenCalled();
  });
});

describe("deleting", () => {
  const remove = (name: string, options: CallOptions = asOperator) =>
    call(pathOf(name), undefined, { ...options, method: "DELETE" });

  it("is answered as OpenAI does, and the model is gone at once", async () => {
    const body = { model: model.name, input: freshText() };
    const bindings = freshIsolate();
    const embed = () => call("/v1/embeddings", body, { ...asOperator, bindings });
    expect((await embed()).status).toBe(200);
    expect((await embed()).headers.get("x-cache")).toBe("hit");
    const removed = await remove(model.name, { ...asOperator, bindings });
    expect(await removed.json()).toEqual({ id: model.name, object: "model", deleted: true });
    expect(await errorOf(await embed())).toMatchObject({ status: 404, code: "model_not_found" });
    expect(await errorOf(await remove(model.name))).toMatchObject({ status: 404 });
    const listed = await call("/v1/models", undefined, asOperator);
    expect(await listed.text()).not.toContain(model.name);
  });

  it("reaches other isolates within a second, their caches too", async () => {
    const body = { model: model.name, input: freshText() };
    const elsewhere = freshIsolate();
    const embed = () => call("/v1/embeddings", body, { ...asOperator, bindings: elsewhere });
    expect((await embed()).status).toBe(200);
    expect((await embed()).headers.get("x-cache")).toBe("hit");
    await remove(model.name);
    const now = Date.now();
    vi.spyOn(Date, "now").mockImplementation(() => now + 1_001);
    expect(await errorOf(await embed())).toMatchObject({ status: 404, code: "model_not_found" });
  });

  it("is its owner's alone", async () => {
    expect(await errorOf(await remove(model.name, {}))).toMatchObject({ status: 404 });
    expect((await call(pathOf(model.name), undefined, asOperator)).status).toBe(200);
  });

  it.each([asOperator, {}])("is refused for a model of the platform", async (options) => {
    expect(await errorOf(await remove(miniLm.id, options))).toMatchObject({
      status: 403,
      code: "insufficient_permissions",
      param: "model",
    });
    expect(await errorOf(await remove("nobody", options))).toMatchObject({ status: 404 });
  });
});

describe("its results", () => {
  it("are hits in other isolates too, under the digest that its worker reported", async () => {
    const body = { model: model.name, input: freshText() };
    const first = await call("/v1/embeddings", body, { ...asOperator, bindings: freshIsolate() });
    expect(first.headers.get("x-cache")).toBe("miss");
    const second = await call("/v1/embeddings", body, { ...asOperator, bindings: freshIsolate() });
    expect(second.headers.get("x-cache")).toBe("hit");
    expect(second.headers.get("x-model-digest")).toBe(digest);
    expect((await models().find(model.name))?.digests).toEqual([digest]);
    // And the registry of the platform's models hears nothing of it.
    const listed = await call("/v1/models", undefined, { bindings: freshIsolate() });
    expect(await listed.text()).not.toContain("ft:");
  });
});

it("finds no entities for another model, and says so", async () => {
  const body = {
    model: "all-rounder",
    inputs: ["Ada in Rome"],
    parameters: { entity_model: model.name },
  };
  const response = await call("/v1/tasks/relation-extraction", body, asOperator);
  expect(await errorOf(response)).toMatchObject({ status: 400, code: "invalid_value" });
  expect(messages).toEqual([]);
});
