/**
 * A model in a folder of the operator's, on the whole running stack: its first calls, and one that cannot be served.
 */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { type RunningStack, startStack } from "../../infra/local/start-stack.ts";

const embedded = path.resolve(
  import.meta.dirname,
  "../../gpu-worker/catalog/embedded/all-MiniLM-L6-v2",
);
const models = mkdtempSync(path.join(tmpdir(), "llm-os-own-"));
const state = mkdtempSync(path.join(tmpdir(), "llm-os-state-"));
let stack: RunningStack;

function start(): Promise<RunningStack> {
  return startStack({ state, env: { LLM_OS_MODELS: models } });
}

/** The embedded model under another name, without some of its files. */
function writeModel(name: string, left: RegExp): void {
  mkdirSync(path.join(models, name));
  for (const file of readdirSync(embedded).filter((each) => !left.test(each))) {
    symlinkSync(path.join(embedded, file), path.join(models, name, file));
  }
}

const tuned = "ft:all-MiniLM-L6-v2:tags:0a1b";

/** As PEFT saved it, with what it has no field for beside it. */
function writeTuned(): void {
  const folder = path.join(models, "tuned-tags");
  const saved = "../checkpoints/peft-adapters/minilm-query-value";
  cpSync(path.resolve(import.meta.dirname, saved), folder, { recursive: true });
  const edit = (from: string, name: string, changes: object) => {
    const file: object = JSON.parse(readFileSync(path.join(from, name), "utf8"));
    writeFileSync(path.join(folder, name), JSON.stringify({ ...file, ...changes }));
  };
  edit(folder, "adapter_config.json", { base_model_name_or_path: "all-MiniLM-L6-v2" });
  const labels = ["O", "B-A", "I-A"];
  const own = { id: tuned, task: "token-classification", labels, pooling: "none" };
  edit(path.join(embedded, "..", "sentiment-en"), "llm-os.json", own);
}

beforeAll(async () => {
  writeTuned();
  symlinkSync(embedded, path.join(models, "own"));
  mkdirSync(path.join(models, "broken"));
  writeFileSync(path.join(models, "broken", "config.json"), '{"model_type":"gpt2"}');
  writeModel("mute", /^tokenizer|^vocab/);
  stack = await start();
});

afterAll(async () => {
  await stack.stop();
  for (const folder of [models, state]) rmSync(folder, { recursive: true, force: true });
});

function embed(model: string): Promise<Response> {
  return fetch(`${stack.url}/v1/embeddings`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      authorization: `Bearer ${stack.operatorKey}`,
    },
    body: JSON.stringify({ model, input: "The quick brown fox" }),
  });
}

it("answers the second identical call from the cache, however soon it comes", async () => {
  const first = await embed("own");
  const second = await embed("own");
  expect([first.status, second.status]).toEqual([200, 200]);
  expect([first, second].map(({ headers }) => headers.get("x-cache"))).toEqual(["miss", "hit"]);
  expect(await second.text()).toBe(await first.text());
});

it("serves an adapter of low rank under the name that its folder gives it", async () => {
  const before = await (await embed("all-MiniLM-L6-v2")).text();
  const response = await fetch(`${stack.url}/hf/models/${tuned}`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      authorization: `Bearer ${stack.operatorKey}`,
    },
    body: JSON.stringify({
      inputs: "The quick brown fox",
      parameters: { aggregation_strategy: "none", ignore_labels: [] },
    }),
  });
  expect(response.status).toBe(200);
  const entities = (await response.json()) as { entity: string }[];
  expect(entities.map(({ entity }) => entity)).toEqual(
    Array.from({ length: 4 }, () => expect.stringMatching(/^(O|[BI]-A)$/)),
  );
  const listed = await (await fetch(`${stack.url}/v1/models/${tuned}`)).json();
  expect(listed).toMatchObject({ id: tuned, status: "available" });
  expect(await (await embed("all-MiniLM-L6-v2")).text()).toBe(before);
});

it("refuses a model that cannot be served at once, and names no folder", async () => {
  const response = await embed("broken");
  const { error } = (await response.json()) as { error: Record<string, unknown> };
  expect(response.status).toBe(400);
  expect(error).toMatchObject({ code: "model_not_servable", param: "model" });
  const listed = await (await fetch(`${stack.url}/v1/models`)).text();
  for (const told of [JSON.stringify(error), listed]) {
    expect(told).toContain("model.safetensors is missing");
    expect(told).not.toContain(models);
  }
});

it("lists a checkpoint without a tokenizer as failed before anybody asks for it", async () => {
  const listed = await (await fetch(`${stack.url}/v1/models/mute`)).json();
  expect(listed).toMatchObject({
    status: "failed",
    reason: expect.stringContaining("there is neither tokenizer.json nor"),
  });
});

it("logs a refusal under the id that its caller has", async () => {
  const id = (await embed("broken")).headers.get("x-request-id");
  await vi.waitFor(() => {
    const lines = readFileSync(path.join(state, "logs", "edge.log"), "utf8").split("\n");
    const line = lines.find((each) => each.includes(String(id)));
    expect(JSON.parse(line ?? "{}")).toMatchObject({
      event: "request.refused",
      route: "/v1/embeddings",
      code: "model_not_servable",
    });
  });
});

it("serves a model that was added between two runs as soon as it is ready", async () => {
  await stack.stop();
  symlinkSync(embedded, path.join(models, "added"));
  stack = await start();
  expect((await embed("added")).status).toBe(200);
});
