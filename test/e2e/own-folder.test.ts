/** A model in a folder of the operator's, on the whole running stack: its first calls, and one that cannot be served. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type RunningStack, startStack } from "../../infra/local/start-stack.ts";

const embedded = path.resolve(
  import.meta.dirname,
  "../../gpu-worker/catalog/embedded/all-MiniLM-L6-v2",
);
const models = mkdtempSync(path.join(tmpdir(), "llm-os-own-"));
let stack: RunningStack;

beforeAll(async () => {
  symlinkSync(embedded, path.join(models, "own"));
  mkdirSync(path.join(models, "broken"));
  writeFileSync(path.join(models, "broken", "config.json"), '{"model_type":"gpt2"}');
  stack = await startStack({ env: { LLM_OS_MODELS: models } });
});

afterAll(async () => {
  await stack.stop();
  rmSync(models, { recursive: true, force: true });
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
