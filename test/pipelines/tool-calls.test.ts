/** Tools in a conversation: what its template is given, what text is held to, and what becomes of tokens that call. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { CodedError } from "../../contract/errors.ts";
import type { Piece } from "../../contract/events.ts";
import type { TaskInput } from "../../contract/tasks.ts";
import type { ChatParameters } from "../../contract/tasks/chat-completion.ts";
import type { Structure } from "../../contract/tasks/structure.ts";
import type { DecoderModel } from "../../gpu-worker/model/decoder-model.ts";
import type { TokenConstraint } from "../../gpu-worker/model/token-constraint.ts";
import { chatCompletion } from "../../gpu-worker/pipelines/chat-completion.ts";
import type { GenerationContext } from "../../gpu-worker/pipelines/pipeline.ts";
import { openChatRenderer } from "../../gpu-worker/tokenizer/chat-template.ts";
import { filesOfGguf } from "../../gpu-worker/tokenizer/gguf-vocabulary.ts";
import { makeTokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";
import { hermesForm, writeCalls } from "../../gpu-worker/tool-calls/call-form.ts";
import { madeUpDecoder } from "../jobs/random-model.ts";
import { scriptedEngine } from "./scripted-engine.ts";

const made = path.resolve(import.meta.dirname, "../tokenizer/made");
const templateOf = (name: string) => readFileSync(path.join(made, `chat/${name}.jinja`), "utf8");

type Metadata = Parameters<typeof filesOfGguf>[0] & { "ggml.token_type": number[] };
const vocabularies: { cases: Record<string, { metadata: Metadata } | undefined> } = JSON.parse(
  readFileSync(path.join(made, "gguf/vocabularies.json"), "utf8"),
);

/** @param special whether the marks of calls are special tokens, as Mistral's are */
async function tokenizerWith(special: boolean) {
  const metadata = vocabularies.cases["smollm"]?.metadata;
  if (metadata === undefined) throw new Error("no vocabulary");
  const types = metadata["ggml.token_type"].map((type) => (special && type === 4 ? 3 : type));
  return makeTokenizer(
    await filesOfGguf({ ...metadata, "ggml.token_type": Int32Array.from(types) }),
  );
}

const renderer = openChatRenderer();
afterAll(() => renderer.close());

type Asked = {
  template: string;
  messages?: TaskInput<"chat-completion">["messages"];
  parameters?: ChatParameters;
  /** What the model writes, then an end token; null: it is never asked. */
  writes: string | null;
  special?: boolean;
  jobId?: string;
  refuses?: (structure: Structure, param: string) => void;
};

async function chat({ template, writes, special = false, jobId = "job_0_a", ...asked }: Asked) {
  const { messages = [{ role: "user", content: "Hi" }], parameters = {}, refuses } = asked;
  const tokenizer = await tokenizerWith(special);
  const endToken = tokenizer.idOfToken("<|im_end|>") ?? -1;
  const limits = { maxTokens: 4_096, dimensions: null, vocabularySize: tokenizer.vocabularySize };
  const model: DecoderModel = {
    ...madeUpDecoder(tokenizer),
    limits,
    endTokens: new Set([endToken]),
    chatTemplate: { template, bosToken: "", eosToken: "<|im_end|>" },
  };
  const ids = (await tokenizer.encode([writes ?? ""]))[0]?.ids ?? [];
  const engine = scriptedEngine((_, __, position) => ids[position] ?? endToken);
  const held: { structure: Structure; param: string }[] = [];
  const prompts: string[] = [];
  const pieces: Piece[] = [];
  const { signal } = new AbortController();
  const context: GenerationContext = {
    signal,
    jobId,
    charge: () => {},
    reserveResult: () => Promise.resolve(),
    generate: (_, request, handlers) =>
      engine.generate(request, { ...handlers, signal, onRun: () => {} }),
    async constrain(_, structure, param) {
      held.push({ structure, param });
      refuses?.(structure, param);
      return () => unheld;
    },
    async renderChat(chatTemplate, conversation) {
      const all = { ...chatTemplate, ...conversation, addGenerationPrompt: true };
      const prompt = await renderer.render(all, signal);
      prompts.push(prompt);
      return prompt;
    },
    report: (more) => void pieces.push(...more),
  };
  const request = { task: "chat-completion" as const, inputs: [{ messages }], parameters };
  const { outputs } = await chatCompletion.answer(request, model, context);
  const choice = outputs[0]?.choices[0];
  return { choice, held, prompt: prompts[0], pieces, requests: engine.requests };
}

/** The scripted engine asks it nothing. */
const unheld: TokenConstraint = {
  next: () => ({ allowed: null, forced: [], closing: [] }),
  accept: () => {},
  takeBack: () => {},
  [Symbol.dispose]: () => {},
};

const schema = '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}';
const weather = { name: "weather", description: "Tells it.", parameters: schema };
const tools = [weather, { name: "now" }];
const calls = [
  { name: "weather", arguments: '{"city": "</tool_call> {"}' },
  { name: "now", arguments: "{}" },
];
const plain = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}";
const hermes = templateOf("qwen-tools");

async function idsOf(jobId: string): Promise<string[]> {
  const writes = writeCalls(hermesForm, calls);
  const { choice } = await chat({ template: hermes, parameters: { tools }, writes, jobId });
  return choice?.tool_calls?.map(({ id }) => id) ?? [];
}

describe("tokens that call tools", () => {
  it.each([
    ["of text", false],
    ["that are special", true],
  ])("become calls, told as they come, whose marks are tokens %s", async (_, special) => {
    const writes = `Let me see.\n${writeCalls(hermesForm, calls)}`;
    const parameters = { tools, n: 1 };
    const { choice, pieces, requests } = await chat({
      template: hermes,
      parameters,
      writes,
      special,
    });
    expect(choice).toMatchObject({ text: "Let me see.", finish_reason: "tool_calls" });
    expect(choice?.tool_calls?.map(({ id: _id, ...call }) => call)).toEqual(calls);
    expect(requests[0]?.constraint).toBeDefined();
    expect(pieces.map(({ text }) => text).join("")).toBe("Let me see.");
    expect(pieces.at(-1)?.finishReason).toBe("tool_calls");
    const grown = pieces.flatMap(({ toolCalls = [] }) => toolCalls);
    expect(grown.length).toBeGreaterThan(5);
    for (const [index, call] of (choice?.tool_calls ?? []).entries()) {
      const own = grown.filter((piece) => piece.index === index);
      expect(own.map((piece) => piece.arguments).join("")).toBe(call.arguments);
      expect(own.flatMap(({ id, name }) => [id, name].filter(Boolean))).toEqual([
        call.id,
        call.name,
      ]);
    }
  });

  it("have ids that another worker gives them too, and no other job", async () => {
    const first = await idsOf("job_0_a");
    expect(first.every((id) => /^call_[a-zA-Z0-9]{24}$/.test(id))).toBe(true);
    expect(await idsOf("job_0_a")).toEqual(first);
    expect(new Set([...first, ...(await idsOf("job_0_b"))]).size).toBe(4);
  });

  it("are not looked through for stop strings, but text is", async () => {
    const writes = `Let me see.\n${writeCalls(hermesForm, calls)}`;
    const asked = { template: hermes, writes };
    const inCall = await chat({ ...asked, parameters: { tools, stop: ["city"] } });
    expect(inCall.choice).toMatchObject({ finish_reason: "tool_calls" });
    const inText = await chat({ ...asked, parameters: { tools, stop: [" me"] } });
    expect(inText.choice).toMatchObject({ text: "Let", finish_reason: "stop_sequence" });
    expect(inText.choice).not.toHaveProperty("tool_calls");
  });

  it("that are cut off tell how far they came, and that their length ended them", async () => {
    const writes = writeCalls(hermesForm, calls);
    const parameters = { tools, max_tokens: 30 };
    const { choice } = await chat({ template: hermes, parameters, writes });
    expect(choice).toMatchObject({ text: "", finish_reason: "length" });
    expect(calls[0]?.arguments.startsWith(choice?.tool_calls?.[0]?.arguments ?? "-")).toBe(true);
  });

  it("are text where nobody declared tools, or none may be called", async () => {
    const writes = "a <tool_call> b";
    for (const parameters of [{}, { tools, tool_choice: "none" as const }]) {
      const { choice, held, prompt } = await chat({ template: hermes, parameters, writes });
      expect(choice).toMatchObject({ text: writes, finish_reason: "end_token" });
      expect(held).toEqual([]);
      expect(prompt).not.toContain("weather");
    }
  });
});

/** Of the second tool's schema, and of whatever holds it. */
function refuseSecond({ type }: Structure, param: string): void {
  if (type === "json_schema" && param !== "tools[1]") return;
  throw new CodedError("invalid_value", `${param}: no`, { param });
}

describe("a schema that cannot be kept to", () => {
  it("is refused by the name of its tool", async () => {
    const asked = chat({
      template: hermes,
      parameters: { tools },
      writes: null,
      refuses: refuseSecond,
    });
    await expect(asked).rejects.toMatchObject({ param: "tools[1]", message: "tools[1]: no" });
  });

  it("is looked for only where tools are what is refused", async () => {
    const otherwise = { type: "grammar", grammar: 'root ::= "a"' } as const;
    const asked = chat({
      template: hermes,
      parameters: { tools, structure: otherwise },
      writes: null,
    });
    await expect(asked).rejects.toMatchObject({
      code: "unsupported_parameter",
      param: "structure",
    });
  });
});

describe("a template that takes no tools", () => {
  const messages: TaskInput<"chat-completion">["messages"] = [
    { role: "system", content: "Be brief." },
    { role: "user", content: "How warm?" },
    {
      role: "assistant",
      content: "Let me see.",
      tool_calls: calls.map((call, at) => ({ id: `call_${at}`, ...call })),
    },
    { role: "tool", content: [{ text: "21" }], tool_call_id: "call_0" },
    { role: "tool", content: "noon", tool_call_id: "call_1" },
  ];

  it("gets them described, and calls and answers as texts", async () => {
    const { prompt = "", choice } = await chat({
      template: `${plain}{# system #}`,
      messages,
      parameters: { tools },
      writes: writeCalls(hermesForm, calls),
    });
    expect(prompt).toMatch(/^<system>Be brief\.\n\nYou can call functions/);
    const shown = { name: "weather", description: "Tells it.", parameters: JSON.parse(schema) };
    expect(prompt).toContain(JSON.stringify(shown));
    expect(prompt).toContain('{"name":"now","parameters":{');
    const rest = prompt.slice(prompt.indexOf("<user>"));
    expect(rest).toBe(
      `<user>How warm?<assistant>Let me see.\n${writeCalls(hermesForm, calls)}` +
        "<user><tool_response>\n21\n</tool_response>\n<tool_response>\nnoon\n</tool_response>",
    );
    expect(choice?.tool_calls).toHaveLength(2);
  });

  it("gets them with the first message of the user where it knows of no system", async () => {
    const refusing = `${plain}{{ raise_exception('System role not supported') if messages[0].role == 'system' }}`;
    for (const template of [plain, refusing]) {
      const { prompt } = await chat({ template, parameters: { tools }, writes: "" });
      expect(prompt).toMatch(/^<user>You can call functions[^]*<\/tool_call>\n\nHi$/);
    }
  });

  it("gets calls as texts where no tools are declared any more", async () => {
    const { prompt } = await chat({ template: plain, messages, writes: "" });
    expect(prompt).toContain('<assistant>Let me see.\n<tool_call>\n{"name": "weather"');
    expect(prompt).not.toContain("You can call");
  });
});

describe("a template that takes tools", () => {
  const call = { id: "call_that_is_long", name: "weather", arguments: '{"city": "Paris"}' };
  const messages: TaskInput<"chat-completion">["messages"] = [
    { role: "user", content: "How warm?" },
    { role: "assistant", content: "", tool_calls: [call] },
    { role: "tool", content: "21", tool_call_id: call.id },
  ];

  it("of Mistral gets ids as it wants them, the same for a call and its answer", async () => {
    const template = templateOf("mistral-tools");
    const { prompt = "" } = await chat({ template, messages, parameters: { tools }, writes: "" });
    const ids = [...prompt.matchAll(/"(?:id|call_id)": "([^"]*)"/g)].map(([, id]) => id);
    expect(ids).toHaveLength(2);
    expect(ids[0]).toMatch(/^[a-zA-Z0-9]{9}$/);
    expect(new Set(ids).size).toBe(1);
  });

  it("gets what is no object as it is, however deep", async () => {
    const odd = ["not JSON", "[".repeat(200_000), `${"[".repeat(500)}${"]".repeat(500)}`, "5"];
    for (const given of odd) {
      const all = messages.with(1, {
        role: "assistant",
        content: "",
        tool_calls: [{ ...call, arguments: given }],
      });
      const asked = { template: hermes, messages: all, parameters: { tools }, writes: "" };
      if (given.length < 10_000)
        expect((await chat(asked)).prompt).toContain(JSON.stringify(given));
      else await expect(chat(asked)).rejects.toMatchObject({ code: "context_length_exceeded" });
    }
  });
});
