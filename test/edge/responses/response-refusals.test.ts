/** What POST /v1/responses and the addresses of what is kept refuse, and how they name it. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { call, errorOf } from "../caller.ts";
import { announce, decoder, install } from "../stand-in-worker.ts";
import { paris, writing } from "../written.ts";
import { create, created, model, path } from "./responses-in-tests.ts";

beforeEach(async () => {
  install(writing([paris]));
  await announce([decoder]);
});
afterEach(() => vi.unstubAllGlobals());

describe("what is wrong", () => {
  it.each<[string, object, object]>([
    ["a field of none", { seed: 1 }, { code: "unknown_parameter", param: "seed" }],
    ["no input", { input: null }, { code: "missing_required_parameter", param: "input" }],
    ["no item that is read", { input: [{ type: "reasoning", id: "rs_1" }] }, { param: "input" }],
    [
      "an item of another kind",
      { input: [{ type: "web_search_call" }] },
      { param: "input[0].type" },
    ],
    [
      "an image",
      { input: [{ role: "user", content: [{ type: "input_image", image_url: "x" }] }] },
      { code: "unsupported_parameter", param: "input[0].content[0]" },
    ],
    ["a role of none", { input: [{ role: "tool", content: "x" }] }, { param: "input[0].role" }],
    [
      "another tool",
      { tools: [{ type: "web_search" }] },
      { code: "unsupported_parameter", param: "tools[0].type" },
    ],
    ["a tool that is none", { tool_choice: "required" }, { param: "tool_choice" }],
    ["no id", { previous_response_id: "" }, { message: expect.stringContaining("is empty") }],
    ["a conversation", { conversation: "conv_1" }, { param: "conversation" }],
    ["a prompt of none", { prompt: { id: "p", version: "2" } }, { param: "prompt.id" }],
    ["no model", { model: null }, { code: "missing_required_parameter", param: "model" }],
    ["what would be left out", { truncation: "auto" }, { param: "truncation" }],
    ["a stream's options alone", { stream_options: {} }, { param: "stream_options" }],
    ["background without a store", { background: true, store: false }, { param: "background" }],
    ["a response of none", { previous_response_id: "resp_1" }, { param: "previous_response_id" }],
    ["too many tokens", { max_output_tokens: 300_001 }, { param: "max_output_tokens" }],
    ["a model of none", { model: "nope" }, { code: "model_not_found", param: "model" }],
    ["too much to repeat", { instructions: "é".repeat(300_000) }, { code: "request_too_large" }],
    ["metadata without end", { metadata: { a: "x".repeat(600) } }, { param: "metadata.a" }],
  ])("names %s", async (_, body, error) => {
    const response = await create(body);
    expect([400, 404, 413]).toContain(response.status);
    expect(await errorOf(response)).toMatchObject(error);
  });

  it("is said of what is accepted and not acted on, and refused with strict=1", async () => {
    const body = {
      user: "u",
      reasoning: { effort: "low" },
      text: { verbosity: "low" },
      include: ["reasoning.encrypted_content"],
      top_logprobs: 3,
      input: [
        { type: "reasoning", id: "rs_1", summary: [] },
        { role: "user", content: "x" },
      ],
    };
    const { headers } = await create(body);
    for (const name of [
      "user",
      "reasoning",
      "text.verbosity",
      "include reasoning.encrypted_content",
      "top_logprobs",
      "input[0]",
    ]) {
      expect(headers.get("x-warnings")).toContain(`${name}: accepted and not acted on`);
    }
    const strict = await call(
      `${path}?strict=1`,
      { model, input: "x", user: "u" },
      { operator: true },
    );
    expect(await errorOf(strict)).toMatchObject({ code: "unsupported_parameter", param: "user" });
  });

  it("is named in an address's query", async () => {
    const { id } = await created({});
    for (const [query, param] of [
      ["starting_after=1", "starting_after"],
      ["stream=yes", "stream"],
      ["limits=1", "limits"],
    ]) {
      const response = await call(`${path}/${id}?${query}`, undefined, { operator: true });
      expect(await errorOf(response)).toMatchObject({ status: 400, param });
    }
    for (const [limit, says] of [
      ["101", "over its limit of 100"],
      ["many", "no number where a number is expected"],
    ] as const) {
      const address = `${path}/${id}/input_items?limit=${limit}`;
      const error = await errorOf(await call(address, undefined, { operator: true }));
      expect(error).toMatchObject({ status: 400, param: "limit" });
      expect(error.message).toContain(says);
    }
  });
});
