/** Text generation and chat under /hf, as TGI and Hugging Face's clients word them. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { bindingsWith, call, type CallOptions } from "../caller.ts";
import { announce, decoder, install, messages } from "../stand-in-worker.ts";
import { paris, told, usageShown, writing } from "../written.ts";

const hubId = decoder.aliases[0] ?? "";
const unstored = { "cache-control": "no-store" };

beforeEach(async () => {
  install(writing([paris]));
  await announce([decoder]);
});
afterEach(() => vi.unstubAllGlobals());

function post(rest: string, body: unknown, options: CallOptions = {}): Promise<Response> {
  return call(`/hf/models/${rest}`, body, { operator: true, headers: unstored, ...options });
}

type HuggingFaceError = {
  error: string;
  error_type: string;
  error_detail: { code: string; param: string | null };
};

const shown = (id: number, text: string) => ({ id, text, logprob: -0.25, special: false });

describe("text generation", () => {
  it.each([hubId, decoder.id, `${decoder.id}/pipeline/text-generation`])(
    "answers one text at %s, greedily",
    async (address) => {
      const response = await post(address, { inputs: "Where?" });
      expect(response.status).toBe(200);
      expect(await response.json()).toEqual([{ generated_text: "In Paris." }]);
      expect(messages[0]).toMatchObject({
        task: "text-generation",
        model: decoder.id,
        inputs: ["Where?"],
      });
      expect(messages[0]?.parameters).toEqual({ temperature: 0 });
    },
  );

  it.each<[string, object, object]>([
    ["max_new_tokens", { max_new_tokens: 9 }, { max_tokens: 9, temperature: 0 }],
    ["temperature", { temperature: 0.5 }, { temperature: 0.5 }],
    ["do_sample", { do_sample: true }, {}],
    ["do_sample: false", { do_sample: false }, { temperature: 0 }],
    ["top_k", { top_k: 4, top_p: 0.5 }, { top_k: 4, top_p: 0.5 }],
    [
      "stop by both names",
      { stop: ["a"], stop_sequences: ["b", "a"] },
      { stop: ["a", "b"], temperature: 0 },
    ],
    ["return_full_text", { return_full_text: true }, { echo: true, temperature: 0 }],
    ["details", { details: true, top_n_tokens: 2 }, { top_logprobs: 2, temperature: 0 }],
    [
      "the rest",
      { seed: 3, repetition_penalty: 1.1, frequency_penalty: 1 },
      { seed: 3, repetition_penalty: 1.1, frequency_penalty: 1, temperature: 0 },
    ],
    [
      "what asks for nothing",
      {
        typical_p: 1,
        watermark: false,
        best_of: 1,
        grammar: null,
        decoder_input_details: false,
        adapter_id: null,
        return_full_text: false,
        details: false,
      },
      { temperature: 0 },
    ],
  ])("hands on %s", async (_, parameters, given) => {
    const response = await post(hubId, { inputs: "Where?", parameters });
    expect(response.status).toBe(200);
    expect(messages[0]?.parameters).toEqual(given);
  });

  it("tells details, of what was written alone", async () => {
    const [first] = told.logprobs ?? [];
    const whole = {
      ...told,
      text: "Where? In Paris.",
      logprobs: [{ ...first, logprob: null }, ...(told.logprobs ?? [])],
    };
    install(writing([whole as typeof told]));
    const parameters = { details: true, top_n_tokens: 2, return_full_text: true, seed: 5 };
    const response = await post(hubId, { inputs: "Where?", parameters });
    const end = { id: 2, text: "<|im_end|>", logprob: -0.125, special: true };
    const others = (id: number, text: string) => [
      shown(id, text),
      { ...shown(id + 1, `${text}?`), logprob: -2 },
    ];
    expect(await response.json()).toEqual([
      {
        generated_text: "Where? In Paris.",
        details: {
          finish_reason: "eos_token",
          generated_tokens: 4,
          seed: 5,
          prefill: [],
          tokens: [shown(11, "In"), shown(12, " Paris"), shown(13, "."), end],
          top_tokens: [others(11, "In"), others(12, " Paris"), others(13, "."), []],
        },
      },
    ]);
  });

  it.each<[string, string, object]>([
    [
      "missing_required_parameter",
      "parameters.grammar.value",
      { parameters: { grammar: { type: "json" } } },
    ],
    ["unsupported_parameter", "parameters.adapter_id", { parameters: { adapter_id: "a" } }],
    ["unsupported_parameter", "parameters.best_of", { parameters: { best_of: 2 } }],
    ["unsupported_parameter", "parameters.typical_p", { parameters: { typical_p: 0.5 } }],
    ["unsupported_parameter", "parameters.watermark", { parameters: { watermark: true } }],
    ["unsupported_parameter", "parameters.truncate", { parameters: { truncate: 5 } }],
    ["invalid_value", "parameters.max_new_tokens", { parameters: { max_new_tokens: 0 } }],
    ["invalid_value", "parameters.top_n_tokens", { parameters: { top_n_tokens: 3 } }],
    ["unknown_parameter", "parameters.n", { parameters: { n: 3 } }],
    ["invalid_value", "inputs", { inputs: "" }],
    ["invalid_value", "inputs", { inputs: ["a"] }],
    ["missing_required_parameter", "inputs", { inputs: undefined }],
  ])("refuses, %s: %s", async (code, param, body) => {
    const response = await post(hubId, { inputs: "a", ...body });
    const { error, error_detail: detail } = await response.json<HuggingFaceError>();
    expect([response.status, detail]).toMatchObject([400, { code, param }]);
    expect(error).toContain(param);
  });

  it("names a worker's refusal by TGI's names", async () => {
    const message = "max_tokens is 9000; the context is 2048";
    install(() => ({ code: "context_length_exceeded", message, param: "max_tokens" }));
    const response = await post(hubId, { inputs: "a" });
    expect(await response.json()).toMatchObject({
      error: message.replace("max_tokens", "max_new_tokens"),
      error_detail: { param: "parameters.max_new_tokens" },
    });
  });

  it("is not what a model does that only reads", async () => {
    const encoder = { ...decoder, id: "reader", aliases: [], tasks: ["fill-mask" as const] };
    await announce([encoder]);
    const address = "reader/pipeline/text-generation";
    const response = await post(address, { inputs: "a" }, { bindings: bindingsWith({}) });
    const { error_detail: detail } = await response.json<HuggingFaceError>();
    expect([response.status, detail.param]).toEqual([400, "model"]);
  });
});

describe("OpenAI's addresses behind a model", () => {
  it("are its own, whatever model the body names", async () => {
    const url = `https://edge.test/hf/models/${hubId}`;
    const chat = await post(`${hubId}/v1/chat/completions`, {
      model: url,
      messages: [{ role: "user", content: "Where?" }],
    });
    expect(await chat.json()).toMatchObject({ object: "chat.completion", usage: usageShown });
    const unnamed = await post(`${hubId}/v1/completions`, { prompt: "Where?", do_sample: false });
    expect(await unnamed.json()).toMatchObject({ object: "text_completion" });
    expect(messages).toMatchObject([
      { task: "chat-completion", model: decoder.id },
      { task: "text-generation", model: decoder.id, parameters: { temperature: 0 } },
    ]);
  });

  it("fail in Hugging Face's form", async () => {
    for (const [api, body] of [
      ["chat/completions", { messages: [] }],
      ["completions", { prompt: "" }],
      ["completions", { prompt: "a", x: 1 }],
    ] as const) {
      const response = await post(`${hubId}/v1/${api}`, body);
      expect(response.status).toBe(400);
      const { error } = await response.json<HuggingFaceError>();
      expect(typeof error).toBe("string");
    }
    const absent = await post("nobody/v1/completions", { prompt: "a" });
    expect(absent.status).toBe(404);
  });
});
