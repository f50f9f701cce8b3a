/**
 * Tools by the clients that people call them with, unmodified, against one running stack. The models are random, so
 * that every call that is none would be written: each must name a declared tool, with arguments that its schema
 * validates.
 */
import { createOpenAI } from "@ai-sdk/openai";
import { InferenceClient } from "@huggingface/inference";
import { ChatOpenAI } from "@langchain/openai";
import { Agent, Runner, tool as agentTool } from "@openai/agents-core";
import { OpenAIChatCompletionsModel } from "@openai/agents-openai";
import { generateText, stepCountIs, streamText, tool as aiTool } from "ai";
import { Ajv2020 } from "ajv/dist/2020.js";
import OpenAI, { BadRequestError } from "openai";
import { beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { noSchemas, wrongBy } from "../openai-schema.ts";
import { randomCallers } from "./random-decoders.ts";
import { type SharedStack, sharedStack } from "./shared-stack.ts";

const model = "random-qwen";
let stack: SharedStack;

beforeAll(async () => {
  stack = await sharedStack("writers");
});

const settings = () => ({ apiKey: stack.operatorKey, baseURL: `${stack.url}/v1` });
const openai = () => new OpenAI({ ...settings(), maxRetries: 0 });

const place = {
  type: "object",
  properties: {
    city: { enum: ["Paris", "Rome"] },
    days: { type: "array", items: { type: "integer", minimum: 0, maximum: 9 }, maxItems: 3 },
    detail: { type: "object", properties: { metric: { type: "boolean" } }, required: ["metric"] },
  },
  required: ["city", "detail"],
  additionalProperties: false,
};
const word = {
  type: "object",
  properties: { word: { type: "string", maxLength: 12 } },
  required: ["word"],
  additionalProperties: false,
};
const schemas: Record<string, object> = { weather: place, look_up: word, now: {} };
const tools: OpenAI.ChatCompletionFunctionTool[] = [
  { type: "function", function: { name: "weather", parameters: place, strict: true } },
  { type: "function", function: { name: "look_up", description: "Finds.", parameters: word } },
  { type: "function", function: { name: "now" } },
];
const ajv = new Ajv2020();
const messages = [{ role: "user" as const, content: "How warm is it?" }];
const asked = { model, messages, tools, max_tokens: 600, seed: 1 };

type Calls = readonly OpenAI.ChatCompletionMessageToolCall[] | undefined;

function plain(calls: Calls): string[][] {
  return (calls ?? []).flatMap((call) =>
    call.type === "function" ? [[call.function.name, call.function.arguments]] : [],
  );
}

function expectValid(calls: Calls): void {
  expect(calls?.length).toBeGreaterThan(0);
  for (const call of calls ?? []) {
    if (call.type !== "function") throw new Error("no function");
    const schema = schemas[call.function.name];
    expect(schema, call.function.name).toBeDefined();
    const given: unknown = JSON.parse(call.function.arguments);
    expect(ajv.validate(schema ?? false, given), call.function.arguments).toBe(true);
    expect(call.id).toMatch(/^call_[a-zA-Z0-9]{24}$/);
  }
}

describe("text where tools may be called", () => {
  it("has no mark of the model's own form in it, however likely that is", async () => {
    // Of `</tool_call>`, which is no special token of this vocabulary.
    const likely = { model, messages, logit_bias: { 4: 100 }, max_tokens: 24, temperature: 0 };
    const said = async (body: object) =>
      (await openai().chat.completions.create({ ...likely, ...body })).choices[0]?.message.content;
    expect(await said({})).toBe("</tool_call>".repeat(24));
    const beside = await said({ tools, tool_choice: "auto" });
    expect(beside).toMatch(/./);
    expect(beside).not.toContain("</tool_call>");
  });
});

describe.each(randomCallers)("calls of %s", (name) => {
  it("are valid whenever one is required, however it is written", async () => {
    const answer = await openai().chat.completions.create({
      ...asked,
      model: name,
      n: 4,
      temperature: 2,
      tool_choice: "required",
    });
    if (noSchemas === null) expect(wrongBy("CreateChatCompletionResponse", answer)).toEqual([]);
    for (const { message, finish_reason: end } of answer.choices) {
      expect(message.content).toBeNull();
      expect(end).toMatch(/tool_calls|length/);
      expectValid(message.tool_calls);
    }
  });

  it("are one where one is named, or they are to be one at a time", async () => {
    const named = { type: "function" as const, function: { name: "look_up" } };
    for (const more of [
      { tool_choice: named },
      { tool_choice: "required" as const, parallel_tool_calls: false },
    ]) {
      const answer = await openai().chat.completions.create({ ...asked, model: name, ...more });
      expectValid(answer.choices[0]?.message.tool_calls);
      expect(answer.choices[0]?.message.tool_calls).toHaveLength(1);
    }
  });

  it("come as a stream that is the answer, and what came of them goes back in", async () => {
    // Several might go on until max_tokens closes them: what that ends, this client takes for broken.
    const one = { tool_choice: "required", parallel_tool_calls: false } as const;
    const required = { ...asked, model: name, ...one };
    const { choices } = await openai().chat.completions.create(required);
    const first = choices[0]?.message;
    const headers = { "cache-control": "no-store" };
    const stream = openai().chat.completions.stream(required, { headers });
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    stream.on("chunk", (chunk) => void chunks.push(chunk));
    const { tool_calls: streamed = [] } = await stream.finalMessage();
    expect(plain(streamed)).toEqual(plain(first?.tool_calls));
    for (const chunk of noSchemas === null ? chunks : []) {
      expect(wrongBy("CreateChatCompletionStreamResponse", chunk)).toEqual([]);
    }
    const answers = (first?.tool_calls ?? []).map(({ id }) => ({
      role: "tool" as const,
      tool_call_id: id,
      content: "21 °C",
    }));
    const next = await openai().chat.completions.create({
      ...asked,
      model: name,
      max_tokens: 8,
      tool_choice: "none",
      messages: [...messages, ...(first === undefined ? [] : [first]), ...answers],
    });
    expect(next.choices[0]?.finish_reason).toMatch(/stop|length/);
    expect(next.choices[0]?.message.content).toEqual(expect.any(String));
  });
});

describe("openai", () => {
  it("runs a tool and gives back what came of it", async () => {
    const given: unknown[] = [];
    const runner = openai().chat.completions.runTools(
      {
        ...asked,
        tools: [
          {
            type: "function",
            function: {
              name: "weather",
              description: "Tells it.",
              parameters: place,
              parse: (text: string): unknown => JSON.parse(text),
              function: (args: unknown) => {
                given.push(args);
                return "21 °C";
              },
            },
          },
        ],
        tool_choice: { type: "function", function: { name: "weather" } },
      },
      { maxChatCompletions: 2 },
    );
    await runner.done();
    expect(given.length).toBeGreaterThan(0);
    for (const each of given) expect(ajv.validate(place, each)).toBe(true);
    expect(runner.messages.some(({ role }) => role === "tool")).toBe(true);
  });

  it("is answered in the older words where it declares functions", async () => {
    const { choices } = await openai().chat.completions.create({
      model,
      messages,
      functions: [{ name: "look_up", parameters: word }],
      function_call: { name: "look_up" },
      max_tokens: 200,
    });
    expect(choices[0]?.finish_reason).toBe("function_call");
    const call = choices[0]?.message.function_call;
    expect(ajv.validate(word, JSON.parse(call?.arguments ?? ""))).toBe(true);
  });

  it("is told which tool cannot be kept to, and nobody else has to wait", async () => {
    const odd = { type: "object", properties: { a: { $ref: "https://example.org/none" } } };
    const declared = [
      ...tools,
      { type: "function" as const, function: { name: "odd", parameters: odd } },
    ];
    const error = await openai()
      .chat.completions.create({ ...asked, tools: declared })
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(BadRequestError);
    expect(error).toMatchObject({ param: expect.stringMatching(/^tools\[3\]/) });
  });
});

describe("ai", () => {
  const weather = aiTool({
    description: "Tells it.",
    inputSchema: z.object({ city: z.enum(["Paris", "Rome"]), days: z.int().min(1).max(5) }),
    execute: ({ city }) => Promise.resolve(`21 °C in ${city}`),
  });

  it("calls tools, whole and streamed, and goes on with what came of them", async () => {
    const common = {
      model: createOpenAI(settings()).chat(model),
      prompt: "How warm is it?",
      tools: { weather },
      toolChoice: "required" as const,
      providerOptions: { openai: { parallelToolCalls: false } },
      maxOutputTokens: 400,
      maxRetries: 0,
      seed: 1,
    };
    const whole = await generateText({ ...common, stopWhen: stepCountIs(2) });
    expect(whole.steps).toHaveLength(2);
    expect(whole.steps[0]?.finishReason).toBe("tool-calls");
    expect(whole.steps[0]?.toolResults[0]?.output).toMatch(/^21 °C in (Paris|Rome)$/);
    const streamed = streamText(common);
    await streamed.consumeStream();
    const inputs = (await streamed.toolCalls).map(({ input }) => input);
    expect(inputs).toEqual(whole.steps[0]?.toolCalls.map(({ input }) => input));
  });
});

function langChain(): ChatOpenAI {
  return new ChatOpenAI({
    model,
    apiKey: stack.operatorKey,
    maxTokens: 400,
    maxRetries: 0,
    configuration: { baseURL: `${stack.url}/v1` },
  });
}

describe("@langchain/openai", () => {
  it("binds tools", async () => {
    const bound = langChain().bindTools(tools, { tool_choice: "required" });
    const { tool_calls: calls = [] } = await bound.invoke("How warm is it?");
    expect(calls.length).toBeGreaterThan(0);
    for (const { name, args } of calls)
      expect(ajv.validate(schemas[name] ?? false, args)).toBe(true);
  });

  it("has answers of a schema by the call of a function", async () => {
    const schema = z.object({ city: z.enum(["Paris", "Rome"]), warm: z.boolean() });
    const structured = langChain().withStructuredOutput(schema, { method: "functionCalling" });
    expect(schema.safeParse(await structured.invoke("How warm is it?")).success).toBe(true);
  });
});

describe("OpenAI's Agents SDK", () => {
  it("has an agent call its tool and answer with what came of it", async () => {
    const seen: string[] = [];
    const weather = agentTool({
      name: "weather",
      description: "Of a place.",
      parameters: z.object({ city: z.enum(["Paris", "Rome"]) }),
      execute: ({ city }) => {
        seen.push(city);
        return `21 °C in ${city}`;
      },
    });
    const agent = new Agent({
      name: "forecaster",
      instructions: "Say how warm it is.",
      model: new OpenAIChatCompletionsModel(openai(), model),
      modelSettings: { toolChoice: "required", parallelToolCalls: false, maxTokens: 100 },
      tools: [weather],
      toolUseBehavior: "stop_on_first_tool",
    });
    const runner = new Runner({ tracingDisabled: true });
    const { finalOutput } = await runner.run(agent, "How warm is it?", { maxTurns: 2 });
    expect(seen).toHaveLength(1);
    expect(finalOutput).toBe(`21 °C in ${seen[0]}`);
  });
});

describe("@huggingface/inference", () => {
  it("calls tools", async () => {
    const { operatorKey, url } = stack;
    const endpoint = new InferenceClient(operatorKey).endpoint(`${url}/hf/models/${model}`);
    const { choices } = await endpoint.chatCompletion({
      messages,
      tools: [{ type: "function", function: { name: "look_up", parameters: word } }],
      tool_choice: { function: { name: "look_up" } },
      max_tokens: 200,
    });
    const given = choices[0]?.message.tool_calls?.[0]?.function.arguments ?? "";
    expect(ajv.validate(word, JSON.parse(given))).toBe(true);
  });
});
