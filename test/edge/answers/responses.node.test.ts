/** Responses, their events and items by OpenAI's published schemas. In Node: ajv compiles code. */
import { describe, expect, it } from "vitest";
import type { Piece } from "../../../contract/events.ts";
import { resultDocument } from "../../../contract/result-document.ts";
import type { Choice, FinishReason, TokenLogprob } from "../../../contract/tasks/generation.ts";
import type { ToolCall } from "../../../contract/tasks/tool-call.ts";
import { modelResponse, type ResponseRendering } from "../../../edge/answers/model-response.ts";
import { render } from "../../../edge/answers/render.ts";
import { ResponseTeller } from "../../../edge/answers/response-stream.ts";
import type { StreamEntry } from "../../../edge/answers/stream-entry.ts";
import {
  ModelResponse,
  ModelResponseEvent,
  ResponseItemList,
} from "../../../edge/openapi/model-response-schemas.ts";
import { messagesOf, readInput } from "../../../edge/routes/response-input.ts";
import { chatBodyOf, echoOf, readResponsesBody } from "../../../edge/routes/response-request.ts";
import { noSchemas, wrongBy } from "../../openai-schema.ts";

const token: TokenLogprob = {
  id: 5,
  text: "é",
  logprob: -0.5,
  top: [{ id: 6, text: "x", logprob: -2 }],
};
const maker = { model: "m", modelDigest: "0123456789abcdef" };
const usage = { promptTokens: 5, completionTokens: 3, cachedTokens: 2 };
const call = (index: number): ToolCall => ({
  id: `call_${index}`,
  name: "weather",
  arguments: '{"city":"Paris"}',
});

const tool = {
  type: "function" as const,
  name: "weather",
  description: "Of a city.",
  parameters: { type: "object", properties: { city: { type: "string" } } },
  strict: true,
};
const format = {
  type: "json_schema" as const,
  name: "answer",
  schema: { type: "object" },
  strict: true,
};

const body = readResponsesBody({
  model: "m",
  input: "What?",
  tools: [tool],
  text: { format },
  tool_choice: { type: "function", name: "weather" },
  metadata: { a: "b" },
});
const plain = readResponsesBody({ model: "m", input: "What?" });

function rendering(background: boolean, asked = body): ResponseRendering {
  const id = `resp_${"0".repeat(31)}1`;
  const created = 1_764_336_000;
  return { route: "openai.responses", id, created, model: "m", background, echo: echoOf(asked) };
}

const ends: readonly FinishReason[] = ["length", "end_token", "stop_sequence", "tool_calls"];
const choices: Choice[] = [null, [token]].flatMap((logprobs) =>
  ends.flatMap((finish_reason) =>
    ["", " \n", "é"].flatMap((text) => [
      { text, finish_reason, tokens: 3, logprobs },
      { text, finish_reason, tokens: 3, logprobs, tool_calls: [call(0), call(1)] },
    ]),
  ),
);

/** As a worker tells the choice: text a unit at a time, then each call in three pieces. */
function piecesOf({ text, logprobs, tool_calls: calls = [], finish_reason: finishReason }: Choice) {
  const base = { input: 0, choice: 0, from: 0, tokens: 1 };
  const pieces: Piece[] = [...text].map((unit, at) => ({
    ...base,
    textFrom: at,
    text: unit,
    ...(logprobs === null || at > 0 ? {} : { logprobs }),
  }));
  const rest = { ...base, textFrom: text.length, text: "" };
  for (const [index, { id, name, arguments: given }] of calls.entries()) {
    pieces.push(
      { ...rest, toolCalls: [{ index, id, name, argumentsFrom: 0, arguments: "" }] },
      { ...rest, toolCalls: [{ index, argumentsFrom: 0, arguments: given.slice(0, 5) }] },
      { ...rest, toolCalls: [{ index, argumentsFrom: 5, arguments: given.slice(5) }] },
    );
  }
  const late = logprobs === null || text !== "" ? {} : { logprobs };
  return [...pieces, { ...rest, ...late, finishReason }];
}

function documentOf(choice: Choice): string {
  const outputs = [{ choices: [choice] }];
  return resultDocument({ task: "chat-completion", ...maker, outputs, usage, warnings: [] });
}

const calledAs = (...ids: string[]) =>
  ids.map((id) => ({ id, type: "function", function: { name: "weather", arguments: "{}" } }));

const resultHead = { task: "chat-completion" as const, ...maker, usage, warnings: [] };

function told(choice: Choice, { background = false, after = 0 } = {}): Record<string, unknown>[] {
  const teller = new ResponseTeller(rendering(background), after);
  const entries: StreamEntry[] = [
    { kind: "started" },
    { kind: "progress", completed: 1, total: 2 },
    ...piecesOf(choice).map((piece): StreamEntry => {
      const textSoFar = () => choice.text.slice(0, piece.textFrom + piece.text.length);
      return { kind: "piece", piece, made: maker, textSoFar };
    }),
    { kind: "end", result: resultHead },
  ];
  const events = [...teller.begin(), ...entries.flatMap((entry) => teller.tell(entry))];
  return events.map(({ event, data }) => {
    const value = JSON.parse(data);
    expect(value.type).toBe(event);
    return value;
  });
}

describe.skipIf(noSchemas !== null)("by OpenAI's schemas", () => {
  it("a response is one, finished or not, and ours", () => {
    const bodies: unknown[] = choices.map((choice) =>
      JSON.parse(render(rendering(false), documentOf(choice)).body),
    );
    for (const status of ["queued", "in_progress", "cancelled"] as const) {
      bodies.push(modelResponse(rendering(true, plain), { status }));
    }
    for (const code of ["context_length_exceeded", "worker_lost"] as const) {
      const error = { code, message: "why", param: null };
      bodies.push(modelResponse(rendering(true), { status: "failed", error }));
    }
    for (const each of bodies) {
      expect(wrongBy("Response", each)).toEqual([]);
      ModelResponse.parse(each);
    }
  });

  it("every event is one, and ours", () => {
    for (const choice of choices) {
      for (const event of told(choice, { background: true })) {
        expect(wrongBy("ResponseStreamEvent", event), JSON.stringify(event)).toEqual([]);
        ModelResponseEvent.parse(event);
      }
    }
    const teller = new ResponseTeller(rendering(false), 0);
    const error = { code: "worker_lost", message: "why", param: null } as const;
    for (const outcome of ["failed", "canceled", undefined] as const) {
      const entry = {
        kind: "error",
        error,
        ...(outcome === undefined ? {} : { outcome }),
      } as const;
      for (const { data } of teller.tell(entry)) {
        expect(wrongBy("ResponseStreamEvent", JSON.parse(data))).toEqual([]);
      }
    }
  });

  it("what a response is given is a list of items, and makes a body of chat", () => {
    const said = [
      { role: "developer", content: "Be brief." },
      {
        role: "user",
        content: [
          { type: "input_text", text: "a" },
          { type: "input_text", text: "b" },
        ],
      },
      { type: "message", role: "assistant", content: [{ type: "output_text", text: "c" }] },
      { type: "function_call", call_id: "call_1", name: "weather", arguments: "{}" },
      { type: "function_call", call_id: "call_2", name: "weather", arguments: "{}" },
      { type: "function_call_output", call_id: "call_1", output: "sun" },
      {
        type: "function_call_output",
        call_id: "call_2",
        output: [{ type: "input_text", text: "rain" }],
      },
      { type: "function_call", call_id: "call_3", name: "weather", arguments: "{}" },
    ];
    const { given } = readInput(said, rendering(false).id);
    const items = given.flatMap((each) => ("item" in each ? [each] : []));
    const data = items.map(({ item }) => item);
    const [first, last] = [data[0]?.id, data.at(-1)?.id];
    const list = { object: "list", data, first_id: first, last_id: last, has_more: false };
    expect(wrongBy("ResponseItemList", list)).toEqual([]);
    ResponseItemList.parse(list);
    const { messages, names } = messagesOf(items);
    const chat = chatBodyOf(body, messages);
    expect(wrongBy("CreateChatCompletionRequest", chat)).toEqual([]);
    expect(messages).toEqual([
      { role: "developer", content: "Be brief." },
      {
        role: "user",
        content: [
          { type: "text", text: "a" },
          { type: "text", text: "b" },
        ],
      },
      { role: "assistant", content: "c", tool_calls: calledAs("call_1", "call_2") },
      { role: "tool", tool_call_id: "call_1", content: "sun" },
      { role: "tool", tool_call_id: "call_2", content: "rain" },
      { role: "assistant", content: null, tool_calls: calledAs("call_3") },
    ]);
    expect(names).toEqual([0, 1, 2, 5, 6, 7].map((index) => `input[${index}]`));
    expect(chat).toMatchObject({
      tools: [{ type: "function", function: { name: "weather", strict: true } }],
      tool_choice: { type: "function", function: { name: "weather" } },
      response_format: { type: "json_schema", json_schema: { name: "answer", strict: true } },
    });
    const allowed = {
      ...body,
      tool_choice: {
        type: "allowed_tools",
        mode: "auto",
        tools: [{ type: "function", name: "weather" }],
      },
    } as const;
    const other = chatBodyOf(
      {
        ...allowed,
        tool_choice: { ...allowed.tool_choice, tools: [...allowed.tool_choice.tools] },
      },
      messages,
    );
    expect(wrongBy("CreateChatCompletionRequest", other)).toEqual([]);
  });
});

describe("the events of a response", () => {
  it("end with the response that its result makes, and repeat each item at its end", () => {
    for (const choice of choices) {
      const events = told(choice);
      const whole = JSON.parse(render(rendering(false), documentOf(choice)).body);
      expect(events.at(-1)?.["response"]).toEqual(whole);
      expect(events.map((event) => event["sequence_number"])).toEqual(events.map((_, at) => at));
      const done = events.filter(({ type }) => type === "response.output_item.done");
      expect(done.map(({ item }) => item)).toEqual(whole.output);
      const added = events.filter(({ type }) => type === "response.output_item.added");
      expect(added.map(({ output_index: index }) => index)).toEqual(
        whole.output.map((_: unknown, at: number) => at),
      );
    }
  });

  it("are the same from any of them on", () => {
    const choice = choices.find(
      ({ text, tool_calls: calls }) => text === "é" && calls !== undefined,
    );
    if (choice === undefined) throw new Error("no choice");
    const all = told(choice, { background: true });
    for (const after of all.keys()) {
      expect(told(choice, { background: true, after })).toEqual(all.slice(after));
    }
  });

  it("of text and calls come item by item", () => {
    const choice = {
      ...choices[0],
      text: "Look:",
      finish_reason: "tool_calls",
      tokens: 3,
      logprobs: null,
      tool_calls: [call(0)],
    } as const;
    const types = told({ ...choice, tool_calls: [...choice.tool_calls] }).map(({ type }) =>
      String(type).replace("response.", ""),
    );
    expect(types.filter((type, at) => type !== types[at - 1])).toEqual([
      "created",
      "in_progress",
      "output_item.added",
      "content_part.added",
      "output_text.delta",
      "output_text.done",
      "content_part.done",
      "output_item.done",
      "output_item.added",
      "function_call_arguments.delta",
      "function_call_arguments.done",
      "output_item.done",
      "completed",
    ]);
  });

  it("repeat log probabilities at the end up to a bound", () => {
    const many = Array.from({ length: 30_000 }, () => token);
    const [part, last] = [many.slice(0, 20_000), many.slice(20_000)];
    const teller = new ResponseTeller(rendering(false), 0);
    const tell = (piece: Piece) =>
      teller.tell({ kind: "piece", piece, made: maker, textSoFar: () => "ab" });
    const base = { input: 0, choice: 0, from: 0, tokens: 1, textFrom: 0 };
    const first = tell({ ...base, text: "a", logprobs: part });
    expect(JSON.parse(first.at(-1)?.data ?? "").logprobs).toHaveLength(20_000);
    const end = tell({ ...base, textFrom: 1, text: "b", logprobs: last, finishReason: "length" });
    const done = end
      .map(({ data }) => JSON.parse(data))
      .find(({ type }) => type === "response.output_text.done");
    expect(done).toMatchObject({ text: "ab", logprobs: [] });
  });
});
