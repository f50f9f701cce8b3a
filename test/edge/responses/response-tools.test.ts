/**
 * Functions that a model calls, as a response tells them and is told what they answered; and the form of its text.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { call as request } from "../caller.ts";
import { announce, decoder, install, messages } from "../stand-in-worker.ts";
import { paris, writing } from "../written.ts";
import { created, itemsOf, model } from "./responses-in-tests.ts";

const call = { id: "call_1", name: "weather", arguments: '{"city":"Paris"}' };
const calling = { ...paris, text: "", finish_reason: "tool_calls" as const, tool_calls: [call] };
const tool = { type: "function", name: "weather", parameters: { type: "object" } };
const format = { type: "json_schema", name: "answer", schema: { type: "object" } };

beforeEach(async () => {
  install(writing([calling]));
  await announce([decoder]);
});
afterEach(() => vi.unstubAllGlobals());

describe("a call of a function", () => {
  it("is an item", async () => {
    const { id, output } = await created({});
    const { id: call_id, name, arguments: given } = call;
    const item = { type: "function_call", status: "completed", call_id, name, arguments: given };
    expect(output).toEqual([{ id: id.replace("resp_", "fc_") + "_out0", ...item }]);
  });

  it("is answered by an item, of the response before or of the input", async () => {
    const first = await created({ input: "Weather?", tools: [tool], tool_choice: "required" });
    const answer = { type: "function_call_output", call_id: call.id, output: "sun" };
    const more = { tools: [tool], parallel_tool_calls: false };
    const next = await created({ ...more, previous_response_id: first.id, input: [answer] });
    const chained = messages.at(-1)?.inputs;
    expect(JSON.stringify(chained)).toContain("sun");
    expect((await itemsOf(next.id, "?order=asc")).data).toMatchObject([
      { role: "user" },
      { type: "function_call", call_id: call.id },
      { type: "function_call_output", output: "sun" },
    ]);
    const { id: call_id, name, arguments: given } = call;
    const called = { type: "function_call", call_id, name, arguments: given };
    await created({ ...more, input: [{ role: "user", content: "Weather?" }, called, answer] });
    expect(messages.at(-1)?.inputs).toEqual(chained);
  });
});

describe("a format of the text", () => {
  it("is what chat's is", async () => {
    install(writing([paris]));
    await created({ text: { format } });
    expect(messages.at(-1)?.parameters).toMatchObject({ structure: { type: "json_schema" } });
    await created({ text: { format: { type: "json_object" } } });
    expect(messages.at(-1)?.parameters).toMatchObject({ structure: { type: "json_object" } });
  });

  it("is repeated, the prompt's where the request says nothing", async () => {
    install(writing([paris]));
    const { type, ...json_schema } = format;
    const prompt = {
      name: "answer",
      model,
      messages: [{ role: "user", content: "The capital of France?" }],
      response_format: { type, json_schema },
    };
    const stored = await request("/v1/prompts", prompt, { operator: true });
    const { id } = await stored.json<{ id: string }>();
    const asked = { model: undefined, input: undefined, prompt: { id } };
    expect(await created(asked)).toMatchObject({ text: { format } });
    const own = { format: { type: "json_object" } };
    expect(await created({ ...asked, text: own })).toMatchObject({ text: own });
  });
});
