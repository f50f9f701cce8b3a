/** What is said of models: the catalogue before any worker spoke, then what workers announce. */
import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, it } from "vitest";
import { ModelList, type ModelObject } from "../../../edge/routes/models.ts";
import { bindingsWith, call, errorOf } from "../caller.ts";
import { announce, decoder, miniLm } from "../stand-in-worker.ts";

/** Lists as an isolate that has just started. */
async function list(): Promise<ModelObject[]> {
  const response = await call("/v1/models", undefined, { bindings: bindingsWith({}) });
  expect(response.status).toBe(200);
  return ModelList.parse(await response.json()).data;
}

function one(models: ModelObject[], id: string): ModelObject {
  const model = models.find((candidate) => candidate.id === id);
  if (model === undefined) throw new Error(`${id} is not listed`);
  return model;
}

function registry() {
  return env.REGISTRY.getByName("registry");
}

beforeEach(() =>
  runInDurableObject(registry(), (_, { storage }) => {
    storage.sql.exec("DELETE FROM states");
    storage.sql.exec("DELETE FROM workers");
  }),
);

describe("the list", () => {
  it("is the catalogue's while no worker runs, and says so", async () => {
    const model = one(await list(), miniLm.id);
    expect(model).toMatchObject({
      object: "model",
      owned_by: "sentence-transformers",
      task: "feature-extraction",
      status: "available",
      loaded: false,
      limits: { max_tokens: 256, dimensions: 384, vocabulary_size: 30_522 },
      licence: "apache-2.0",
    });
    expect(model.reason).toMatch(/worker/);
    expect(model.created).toBeGreaterThan(1_700_000_000);
  });

  it("follows what a worker says, and takes its models away with it", async () => {
    const own = { ...miniLm, id: "my-tuned", aliases: [], licence: null };
    await announce([{ ...miniLm, loaded: false, status: "downloading", progress: 0.5 }, own]);
    const during = await list();
    expect(one(during, miniLm.id)).toMatchObject({ status: "downloading", progress: 0.5 });
    expect(one(during, "my-tuned")).toMatchObject({ owned_by: "llm-os", loaded: true });
    await announce([miniLm]);
    const after = await list();
    expect(one(after, miniLm.id)).toMatchObject({
      status: "available",
      progress: null,
      loaded: true,
    });
    expect(after.map(({ id }) => id)).not.toContain("my-tuned");
  });

  it("names as a model's task the first that not every model has", async () => {
    await announce([{ ...miniLm, tasks: ["tokenize", "detokenize", ...miniLm.tasks] }]);
    expect(one(await list(), miniLm.id)).toMatchObject({ task: "feature-extraction" });
  });

  it("shows a model that writes, with how long prompt and answer may be together", async () => {
    await announce([{ ...decoder, id: "writer", aliases: [] }]);
    expect(one(await list(), "writer")).toMatchObject({
      task: "text-generation",
      tasks: ["text-generation", "chat-completion"],
      limits: { max_tokens: 2_048, dimensions: null, vocabulary_size: 49_152 },
    });
  });

  it("shows the best of several workers", async () => {
    await announce([{ ...miniLm, status: "failed", reason: "disk full", loaded: false }], "one");
    await announce([miniLm], "two");
    expect(one(await list(), miniLm.id)).toMatchObject({
      status: "available",
      reason: null,
      loaded: true,
    });
  });

  it("keeps what a worker that has gone said, but not as loaded", async () => {
    await announce([miniLm]);
    await runInDurableObject(registry(), (_, { storage }) => {
      storage.sql.exec("UPDATE workers SET seenAtMs = seenAtMs - 16000");
    });
    expect(one(await list(), miniLm.id)).toMatchObject({
      status: "available",
      loaded: false,
      size_bytes: miniLm.sizeBytes,
    });
  });

  it("keeps the date a model was first seen", async () => {
    const before = one(await list(), miniLm.id).created;
    await announce([miniLm]);
    expect(one(await list(), miniLm.id).created).toBe(before);
  });

  it("shows a model that failed before anything was known of it", async () => {
    const broken = {
      ...miniLm,
      id: "broken",
      aliases: [],
      tasks: [],
      status: "failed" as const,
      reason: "config.json is not JSON",
      limits: null,
      digest: null,
      sizeBytes: null,
      loaded: false,
    };
    await announce([broken]);
    expect(one(await list(), "broken")).toMatchObject({
      task: null,
      status: "failed",
      reason: "config.json is not JSON",
      limits: null,
    });
    const asked = await call(
      "/v1/embeddings",
      { model: "broken", input: "a" },
      { operator: true, bindings: bindingsWith({}) },
    );
    expect(await errorOf(asked)).toMatchObject({ status: 500, code: "model_unavailable" });
  });
});

describe("one model", () => {
  it.each([
    miniLm.id,
    "sentence-transformers/all-MiniLM-L6-v2",
    "sentence-transformers%2Fall-MiniLM-L6-v2",
  ])("is found as %s", async (id) => {
    const response = await call(`/v1/models/${id}`);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ id: miniLm.id });
  });

  it("that is not there is a 404", async () => {
    expect(await errorOf(await call("/v1/models/nobody/nothing"))).toMatchObject({
      status: 404,
      code: "model_not_found",
    });
  });
});

describe("an announcement", () => {
  it("is refused unsigned", async () => {
    const response = await call("/internal/workers", { worker: "w", models: [] });
    expect(await errorOf(response)).toMatchObject({ status: 401, code: "invalid_api_key" });
  });

  it("that is malformed is refused in words", async () => {
    const { postAsWorker } = await import("../jobs/caller-and-worker.ts");
    const response = await postAsWorker("/internal/workers", JSON.stringify({ worker: "w" }));
    expect(await errorOf(response)).toMatchObject({ status: 400, param: "models" });
  });
});
