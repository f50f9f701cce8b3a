/** The prompts that ship: read by anybody, and models by their ids, of Hugging Face's own client too. */
import { InferenceClient } from "@huggingface/inference";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { readyPrompts } from "../../../contract/prompts/ready-prompts.ts";
import type { JobResult } from "../../../contract/result-document.ts";
import type { JobMessage } from "../../../contract/job-message.ts";
import type { ModelObject } from "../../../edge/routes/models.ts";
import { bindingsWith, call, errorOf, freshAddress } from "../caller.ts";
import { call as callAndStream } from "../jobs/caller-and-worker.ts";
import { announce, decoder, digest, install, messages } from "../stand-in-worker.ts";

const { id: model } = decoder;
const other = { ...decoder, id: "other-chat", aliases: [] };

/** Writes the last message back, behind a space. */
function answer({ task, model: asked, inputs }: JobMessage): JobResult {
  const given = Array.isArray(inputs) ? (inputs as { messages: { content: string }[] }[]) : [];
  const outputs = given.map((input) => ({
    choices: [
      {
        text: ` ${input.messages.at(-1)?.content}`,
        finish_reason: "end_token" as const,
        tokens: 3,
        logprobs: null,
      },
    ],
  }));
  const usage = { promptTokens: 9, completionTokens: 3 * outputs.length };
  return { task, model: asked, modelDigest: digest, outputs, usage, warnings: [] };
}

beforeEach(async () => {
  install(answer);
  await announce([decoder, other]);
});
afterEach(() => vi.unstubAllGlobals());

const send = (path: string, body: unknown) =>
  call(path, body, { operator: true, headers: { "cache-control": "no-store" } });

/** The conversations that a worker was sent last. */
function sent(): { messages: { role: string; content: string }[] }[] {
  const { inputs } = messages.at(-1) ?? {};
  return Array.isArray(inputs) ? (inputs as ReturnType<typeof sent>) : [];
}

/** The client's `fetch`, answered by the edge. */
async function edgeFetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const request = new Request(input, init);
  return send(new URL(request.url).pathname, await request.text());
}

const clientOf = (id: string, task: string) =>
  new InferenceClient(undefined, { fetch: edgeFetch }).endpoint(
    `https://edge.test/hf/models/${id}/pipeline/${task}`,
  );

describe("a prompt that ships", () => {
  it("is listed and read without a key, and nobody changes it", async () => {
    const address = freshAddress();
    const { data } = await (
      await call("/v1/prompts?ready=true", undefined, { address })
    ).json<{ data: { id: string }[] }>();
    expect(data.map(({ id }) => id)).toEqual(readyPrompts.map(({ id }) => id));
    for (const { id } of readyPrompts)
      expect((await call(`/v1/prompts/${id}`, undefined, { address })).status).toBe(200);
    const path = "/v1/prompts/summarize";
    const version = { messages: [{ role: "user", content: "x" }] };
    expect(await errorOf(await send(`${path}/versions`, version))).toMatchObject({ status: 403 });
    const gone = await call(path, undefined, { operator: true, method: "DELETE" });
    expect(await errorOf(gone)).toMatchObject({ status: 403 });
  });

  it("is listed as a model with its task, as what answers it stands", async () => {
    const list = await call("/v1/models", undefined, { bindings: bindingsWith({}) });
    const { data } = await list.json<{ data: ModelObject[] }>();
    const shown = data.find(({ id }) => id === "summarize");
    expect(shown).toMatchObject({
      task: "summarization",
      tasks: ["summarization", "chat-completion"],
      owned_by: "llm-os",
      base_model: model,
      loaded: true,
      limits: { max_tokens: 2_048 },
    });
    expect(await (await call("/v1/models/summarize")).json()).toEqual(shown);
    expect(data.find(({ id }) => id === "translate-en-zh")).toMatchObject({ task: "translation" });
    const gone = await call("/v1/models/chat", undefined, { operator: true, method: "DELETE" });
    expect(await errorOf(gone)).toMatchObject({ status: 403 });
  });

  it("is used by its id in a conversation, without a key too", async () => {
    const prompt = { id: "translate", variables: { text: "Hi.", target_language: "French" } };
    const response = await call("/v1/chat/completions", { prompt }, { address: freshAddress() });
    expect(response.status).toBe(200);
    expect(messages.at(-1)).toMatchObject({ task: "chat-completion", model });
    expect(sent()[0]?.messages).toEqual([
      { role: "system", content: expect.stringContaining("into French.") },
      { role: "user", content: "Hi." },
    ]);
  });

  it("is a model of conversations, of which it is told first", async () => {
    const asked = [{ role: "user", content: "x" }];
    for (const [path, body] of [
      ["/v1/chat/completions", { model: "keywords", messages: asked }],
      ["/hf/models/keywords/v1/chat/completions", { model: "any", messages: asked }],
    ] as const) {
      const response = await send(path, body);
      expect(await response.json()).toMatchObject({ model });
      const [first, example, reply, last, ...more] = sent()[0]?.messages ?? [];
      expect([first?.role, example?.role, reply?.role]).toEqual(["system", "user", "assistant"]);
      expect([last, more]).toEqual([asked[0], []]);
      expect(messages.at(-1)?.parameters).toMatchObject({ max_tokens: 64, temperature: 0 });
    }
    await send("/v1/chat/completions", { model: "keywords", messages: asked, temperature: 0.5 });
    expect(messages.at(-1)?.parameters).toMatchObject({ temperature: 0.5 });
    await send("/v1/chat/completions", { model: "chat", messages: asked });
    expect(messages.at(-1)?.parameters).not.toHaveProperty("temperature");
    const lacking = await send("/v1/chat/completions", { model: "translate", messages: asked });
    expect(await errorOf(lacking)).toMatchObject({ param: "prompt.variables.target_language" });
  });

  it("gives way to a worker's model of its name", async () => {
    await announce([decoder, other, { ...other, id: "code" }]);
    const bindings = bindingsWith({});
    const asked = { bindings, operator: true };
    const body = { model: "code", messages: [{ role: "user", content: "x" }] };
    expect((await call("/v1/chat/completions", body, asked)).status).toBe(200);
    expect(messages.at(-1)).toMatchObject({ model: "code", inputs: [{ messages: body.messages }] });
    const list = await call("/v1/models", undefined, { bindings });
    const { data } = await list.json<{ data: ModelObject[] }>();
    const [shown, ...more] = data.filter(({ id }) => id === "code");
    expect([shown?.task, shown?.base_model, more]).toEqual(["text-generation", undefined, []]);
  });

  it("is no model for what it does not do", async () => {
    const embedded = await errorOf(await send("/v1/embeddings", { model: "chat", input: "x" }));
    expect(embedded).toMatchObject({ status: 400, param: "model" });
    expect(embedded.message).toContain("/v1/chat/completions");
    const wrong = await send("/hf/models/summarize/pipeline/translation", { inputs: "x" });
    expect(wrong.status).toBe(400);
    expect(await wrong.text()).toContain("It does summarization");
  });
});

describe("Hugging Face's client", () => {
  it("summarizes by the prompt, and by any model of conversations", async () => {
    expect(await clientOf("summarize", "summarization").summarization({ inputs: "A." })).toEqual({
      summary_text: "A.",
    });
    expect(messages.at(-1)).toMatchObject({
      model,
      parameters: { temperature: 0, max_tokens: 160 },
    });
    const parameters = { generate_parameters: { max_new_tokens: 9, top_p: 0.5 } };
    await clientOf(other.id, "summarization").summarization({ inputs: "B.", parameters });
    expect(messages.at(-1)).toMatchObject({
      model: other.id,
      parameters: { max_tokens: 9, top_p: 0.5 },
    });
    expect(messages.at(-1)?.parameters).not.toHaveProperty("temperature");
  });

  it.each([
    ["translate", { src_lang: "en", tgt_lang: "fr" }, "from English into French"],
    ["translate", { tgt_lang: "zho_Hans" }, "into Simplified Chinese"],
    ["translate", { src_lang: "eng_Latn", tgt_lang: "de_DE" }, "from English into German"],
    ["translate", { tgt_lang: "Old Norse" }, "into Old Norse"],
    ["translate-en-zh", undefined, "from English into Chinese"],
    ["translate-en-zh", { src_lang: "en_XX", tgt_lang: "zh-Hant" }, "into Chinese"],
    ["other-chat", { tgt_lang: "es" }, "into Spanish"],
  ] as const)("translates by %s with %j", async (id, parameters, words) => {
    const asked = { inputs: "Hi.", ...(parameters && { parameters }) };
    const [translated] = [await clientOf(id, "translation").translation(asked)].flat();
    expect(translated).toEqual({ translation_text: "Hi." });
    expect(sent()[0]?.messages[0]?.content).toContain(words);
  });

  it("translates several texts in one call", async () => {
    const inputs = ["One.", "Two."] as unknown as string;
    const client = clientOf("translate-en-fr", "translation");
    expect(await client.translation({ inputs })).toEqual([
      { translation_text: "One." },
      { translation_text: "Two." },
    ]);
    expect(sent()).toHaveLength(2);
  });
});

describe("POST /hf/models/{prompt}", () => {
  it.each([
    ["summarize", [{ summary_text: "x" }]],
    ["translate-en-fr", [{ translation_text: "x" }]],
    ["code", [{ generated_text: " x" }]],
    ["augment", [{ generated_text: " x" }]],
  ])("does what %s is for", async (id, body) => {
    expect(await (await send(`/hf/models/${id}`, { inputs: "x" })).json()).toEqual(body);
  });

  it("streams text generation, as TGI does", async () => {
    const response = await callAndStream("/hf/models/chat", {
      body: { inputs: "x", stream: true },
    });
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    expect(await response.text()).toContain('"generated_text":" x"');
  });

  it("goes on with a text by the address that Hugging Face's client has for it", async () => {
    for (const [path, body] of [
      ["/hf/models/code/v1/completions", { prompt: "x" }],
      ["/v1/completions", { model: "code", prompt: "x" }],
    ] as const) {
      expect(await (await send(path, body)).json()).toMatchObject({
        model,
        choices: [{ text: " x", finish_reason: "stop" }],
      });
      expect(sent()[0]?.messages.at(-1)).toEqual({ role: "user", content: "x" });
    }
    for (const [wrong, param] of [
      [{ prompt: "x", echo: true }, "echo"],
      [{ prompt: [1, 2] }, "prompt"],
    ] as const) {
      const response = await send("/v1/completions", { model: "code", ...wrong });
      expect(await errorOf(response)).toMatchObject({ status: 400, param });
    }
  });

  it.each([
    ["summarize", { inputs: "" }, "inputs"],
    ["summarize", { inputs: [] }, "inputs"],
    ["summarize", { inputs: ["a", ""] }, "inputs[1]"],
    ["summarize", { inputs: 5 }, "inputs"],
    ["summarize", { inputs: Array.from({ length: 129 }, () => "a") }, "inputs"],
    ["summarize", { inputs: "a", parameters: { tgt_lang: "fr" } }, "parameters.tgt_lang"],
    ["summarize", { inputs: "a", parameters: { max_new_tokens: 0 } }, "parameters.max_new_tokens"],
    ["summarize", { inputs: "a", stream: true }, "stream"],
    [
      "summarize",
      { inputs: "a", parameters: { generate_parameters: { paprika: 1 } } },
      "parameters.generate_parameters.paprika",
    ],
    ["translate", { inputs: "a" }, "parameters.tgt_lang"],
    [
      "translate",
      { inputs: "a", parameters: { tgt_lang: "x".repeat(101) } },
      "parameters.tgt_lang",
    ],
    ["translate-en-fr", { inputs: "a", parameters: { tgt_lang: "de" } }, "parameters.tgt_lang"],
    [
      "chat",
      { inputs: "a", parameters: { return_full_text: true } },
      "parameters.return_full_text",
    ],
  ])("%s refuses %j by name", async (id, body, param) => {
    const response = await send(`/hf/models/${id}`, body);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error_detail: { param } });
  });

  it("says what of Hugging Face's parameters is not acted on", async () => {
    const parameters = { min_length: 5, truncation: "longest_first" };
    const response = await send("/hf/models/summarize", { inputs: "a", parameters });
    expect(response.headers.get("x-warnings")).toBe(
      "min_length: accepted and not acted on; truncation: accepted and not acted on",
    );
  });
});
