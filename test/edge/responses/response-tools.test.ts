/**
 * Functions that a model calls, as a response tells them and is told what they answered. What the chat route takes of
 * tools and formats decides what is asked here: where it refuses them, they are refused by the names of this route.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ChatCompletionsRequest } from "../../../edge/routes/chat-completions.ts";
import { errorOf } from "../caller.ts";
import { announce, decoder, install, messages } from "../stand-in-worker.ts";
import { paris, writing } from "../written.ts";
import { create, created, itemsOf } from "./responses-in-tests.ts";

const call = { id: "call_1", name: "weather", arguments: '{"city":"Paris"}' };
const calling = { ...paris, text: "", finish_reason: "tool_calls" as const, tool_calls: [call] };
const tool = { type: "function", name: "weather", parameters: { type: "object" } };
const format = { type: "json_schema", name: "answer", schema: { type: "object" } };

const chat = (more: object) =>
  ChatCompletionsRequest.safeParse({
    model: "m",
    messages: [{ role: "user", content: "x" }],
    ...more,
  }).success;
const takesTools = chat({ tools: [{ type: "function", function: { name: "weather" } }] });
const takesFormats = chat({ response_format: { type: "json_object" } });
if (!takesTools) console.log("Skipped: calls of functions, which the chat route does not take");
if (!takesFormats) console.log("Skipped: formats of texts, which the chat route does not take");

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

  it.runIf(takesTools)(
    "is answered by an item, of the response before or of the input",
    async () => {
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
    },
  );

  it.skipIf(takesTools)("is refused by the names of this route", async () => {
    const asked = await errorOf(await create({ tools: [tool] }));
    expect(asked).toMatchObject({ code: "unsupported_parameter", param: "tools" });
    const called = { type: "function_call", call_id: "1", name: "weather", arguments: "{}" };
    const said = await errorOf(await create({ input: [{ role: "user", content: "x" }, called] }));
    expect(said).toMatchObject({ code: "unsupported_parameter", param: "input[1].tool_calls" });
    expect(said.message).toContain("input[1].tool_calls");
  });
});

describe("a format of the text", () => {
  it.runIf(takesFormats)("is what chat's is", async () => {
    install(writing([paris]));
    await created({ text: { format } });
    expect(messages.at(-1)?.parameters).toMatchObject({ structure: { type: "json_schema" } });
    await created({ text: { format: { type: "json_object" } } });
    expect(messages.at(-1)?.parameters).toMatchObject({ structure: { type: "json_object" } });
  });

  it.skipIf(takesFormats)("is refused by the name of this route", async () => {
    const error = await errorOf(await create({ text: { format } }));
    expect(error).toMatchObject({ code: "unsupported_parameter", param: "text.format" });
  });
});
