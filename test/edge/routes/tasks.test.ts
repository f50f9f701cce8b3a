/** POST /v1/tasks/{task}: batches in our own form, and the operator's noop. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { call, errorOf, freshAddress } from "../caller.ts";
import {
  announce,
  install,
  messages,
  similarities,
  tokensRead,
  vector,
} from "../stand-in-worker.ts";

const model = "all-MiniLM-L6-v2";
const headers = { "cache-control": "no-store" };

beforeEach(async () => {
  install();
  await announce();
});
afterEach(() => vi.unstubAllGlobals());

function run(task: string, body: unknown): Promise<Response> {
  return call(`/v1/tasks/${task}`, body, { operator: true, headers });
}

describe("a batch", () => {
  it("has one answer per input, in order", async () => {
    const similar = { source_sentence: "a", sentences: ["b", "c"] };
    const pairs = await run("sentence-similarity", { model, inputs: [similar, similar] });
    expect(await pairs.json()).toEqual({
      object: "list",
      data: [similarities, similarities],
      model,
      usage: { prompt_tokens: tokensRead, total_tokens: tokensRead },
    });
    const vectors = await run("feature-extraction", { model, inputs: ["a", [5, 6]] });
    expect(await vectors.json()).toMatchObject({ data: [vector.numbers, vector.numbers] });
  });

  it("says itself whose token ids are, which are the model's where it does not", async () => {
    for (const token_ids of ["cl100k_base", "either"]) {
      const body = { model, inputs: [[99_999]], parameters: { token_ids } };
      expect((await run("feature-extraction", body)).status).toBe(200);
      expect(messages.at(-1)?.parameters).toEqual({ token_ids });
    }
    const own = { model, inputs: [[99_999]], parameters: { token_ids: "model" } };
    expect(await errorOf(await run("feature-extraction", own))).toMatchObject({
      status: 400,
      param: "inputs[0]",
    });
  });

  it.each<[string, string, unknown, object]>([
    [
      "no inputs",
      "feature-extraction",
      { model },
      { code: "missing_required_parameter", param: "inputs" },
    ],
    ["none in the list", "feature-extraction", { model, inputs: [] }, { param: "inputs" }],
    ["an empty text", "feature-extraction", { model, inputs: [""] }, { param: "inputs[0]" }],
    ["a text alone", "feature-extraction", { model, inputs: "a" }, { param: "inputs" }],
    [
      "a strange token",
      "feature-extraction",
      { model, inputs: [[99_999]] },
      { param: "inputs[0]" },
    ],
    [
      "an input of another task",
      "sentence-similarity",
      { model, inputs: ["a"] },
      { param: "inputs[0]" },
    ],
    [
      "an unknown parameter",
      "feature-extraction",
      { model, inputs: ["a"], parameters: { speed: 1 } },
      { code: "unknown_parameter", param: "parameters.speed" },
    ],
    [
      "no model",
      "feature-extraction",
      { inputs: ["a"] },
      { code: "missing_required_parameter", param: "model" },
    ],
  ])("is refused with %s", async (_, task, body, expected) => {
    expect(await errorOf(await run(task, body))).toMatchObject({ status: 400, ...expected });
    expect(messages).toHaveLength(0);
  });

  it("of a task that is not there is a 404 that names those that are", async () => {
    const error = await errorOf(await run("levitation", { model, inputs: ["a"] }));
    expect(error).toMatchObject({ status: 404, code: "not_found", param: "task" });
    expect(error.message).toContain("feature-extraction");
  });
});

describe("noop", () => {
  it("travels the whole path for the operator, and is not kept", async () => {
    for (let at = 0; at < 2; at += 1) {
      const response = await call("/v1/tasks/noop", { inputs: ["x", ""] }, { operator: true });
      expect(response.headers.get("x-cache")).toBe("bypass");
      expect(await response.json()).toMatchObject({ data: ["x", ""], usage: { total_tokens: 0 } });
    }
    expect(messages).toHaveLength(2);
  });

  it("is refused to everybody else, whatever the body", async () => {
    for (const body of [{ inputs: ["x"] }, "{"]) {
      const response = await call("/v1/tasks/noop", body, { address: freshAddress() });
      expect(await errorOf(response)).toMatchObject({
        status: 403,
        code: "insufficient_permissions",
      });
    }
    expect(messages).toHaveLength(0);
  });
});
