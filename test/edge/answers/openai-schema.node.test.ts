/**
 * Answers and chunks of streams by OpenAI's published schemas, whatever a worker wrote. In Node: ajv compiles code.
 */
import { describe, expect, it } from "vitest";
import type { Piece } from "../../../contract/events.ts";
import { type JobResult, resultDocument } from "../../../contract/result-document.ts";
import type { Choice, FinishReason, TokenLogprob } from "../../../contract/tasks/generation.ts";
import { openaiError } from "../../../edge/answers/error-forms.ts";
import {
  chatChunks,
  chunksEnd,
  completionChunks,
  tgiChunks,
} from "../../../edge/answers/generation-streams.ts";
import { render } from "../../../edge/answers/render.ts";
import type { RenderingOf } from "../../../edge/answers/rendering.ts";
import {
  ChatCompletionChunk,
  ChatCompletionResponse,
  CompletionChunk,
  GeneratedTextChunk,
} from "../../../edge/openapi/generation-schemas.ts";
import { operations } from "../../../edge/openapi/operations.ts";
import { noSchemas, wrongBy } from "../../openai-schema.ts";

const token: TokenLogprob = {
  id: 5,
  text: "é",
  logprob: -0.5,
  top: [{ id: 6, text: "\ufffd", bytes: [0xc3], logprob: -2 }],
};
const endToken: TokenLogprob = {
  id: 2,
  text: "</s>",
  bytes: null,
  logprob: 0,
  special: true,
  top: [],
};
const ends: readonly FinishReason[] = ["length", "end_token", "stop_sequence"];
const choices: Choice[] = [null, [], [token, endToken]].flatMap((logprobs) =>
  ends.flatMap((finish_reason) =>
    ["", "é"].map((text) => ({ text, finish_reason, tokens: logprobs?.length ?? 7, logprobs })),
  ),
);

const calls = [0, 1].map((at) => ({ id: `call_${at}`, name: "f", arguments: '{"a": 1}' }));
const calling: Choice[] = ["", "Wait."].map((text) => ({
  text,
  finish_reason: "tool_calls",
  tokens: 5,
  logprobs: [token],
  tool_calls: calls,
}));

const chat: RenderingOf<"openai.chat"> = {
  route: "openai.chat",
  id: "chatcmpl-1",
  created: 1_764_336_000,
  maxTokensField: null,
  includeUsage: true,
};
const completions: RenderingOf<"openai.completions"> = {
  route: "openai.completions",
  id: "cmpl-1",
  created: 1_764_336_000,
  single: true,
  n: choices.length,
  includeUsage: true,
  logprobs: true,
  tgi: false,
};
const usage = { promptTokens: 5, completionTokens: 3, cachedTokens: 2 };
const maker = { model: "m", modelDigest: "0123456789abcdef" };

function resultOf(task: JobResult["task"], output: unknown): string {
  return resultDocument({ task, ...maker, outputs: [output], usage, warnings: [] });
}

const exampleOf = (id: string) => operations.find((each) => each.id === id)?.example.response;

describe.skipIf(noSchemas !== null)("a body", () => {
  it("of chat is OpenAI's", () => {
    const all = [...choices, ...calling];
    for (const form of [chat, { ...chat, functionCalls: true as const }]) {
      const { body } = render(form, resultOf("chat-completion", { choices: all }));
      const value: unknown = JSON.parse(body);
      expect(wrongBy("CreateChatCompletionResponse", value)).toEqual([]);
      expect(value).toMatchObject({ choices: { length: all.length } });
      ChatCompletionResponse.parse(value);
    }
  });

  it("of completions is OpenAI's, but for a token that nothing came before", () => {
    const { body } = render(completions, resultOf("text-generation", { choices }));
    expect(wrongBy("CreateCompletionResponse", JSON.parse(body))).toEqual([]);
    // The schema has no null there; OpenAI's API has, for what stands first with echo, and clients look for it.
    const first = { ...token, logprob: null, top: [] };
    const echoed = { ...choices[0], logprobs: [first, token] };
    const { body: echo } = render(completions, resultOf("text-generation", { choices: [echoed] }));
    expect(wrongBy("CreateCompletionResponse", JSON.parse(echo))).toEqual([
      "/choices/0/logprobs/token_logprobs/0: must be number",
      "/choices/0/logprobs/top_logprobs/0: must be object",
      "/choices/0/logprobs: must be null",
      "/choices/0/logprobs: must match a schema in anyOf",
    ]);
  });

  it("of embeddings is OpenAI's", () => {
    const vector = "AACAPwAAAD8AABDA";
    for (const encodingFormat of ["float", "base64"] as const) {
      const rendering = { route: "openai.embeddings", encodingFormat, single: true } as const;
      const { body } = render(rendering, resultOf("feature-extraction", vector));
      const wrong = wrongBy("CreateEmbeddingResponse", JSON.parse(body));
      // The schema knows numbers alone; base64 is what its own client asks for.
      const other = encodingFormat === "float" ? [] : ["/data/0/embedding: must be array"];
      expect(wrong).toEqual(other);
    }
  });

  it("of models is OpenAI's", () => {
    expect(wrongBy("ListModelsResponse", exampleOf("listModels"))).toEqual([]);
    expect(wrongBy("Model", exampleOf("getModel"))).toEqual([]);
    expect(wrongBy("DeleteModelResponse", exampleOf("deleteModel"))).toEqual([]);
  });

  it("of files is OpenAI's", () => {
    for (const name of ["createFile", "getFile"]) {
      expect(wrongBy("OpenAIFile", exampleOf(name)), name).toEqual([]);
    }
    expect(wrongBy("ListFilesResponse", exampleOf("listFiles"))).toEqual([]);
    expect(wrongBy("DeleteFileResponse", exampleOf("deleteFile"))).toEqual([]);
  });

  it("of an error is OpenAI's", () => {
    const error = { code: "invalid_value", message: "n is 9", param: "n" } as const;
    expect(wrongBy("ErrorResponse", openaiError.body(error))).toEqual([]);
  });
});

/** One choice as it grows: its role, a held back token, a text, its end. */
const pieces: Piece[] = [
  { tokens: 0, text: "" },
  { tokens: 1, text: "", logprobs: [token] },
  { tokens: 2, text: "éé", logprobs: [token, token] },
  { tokens: 1, text: "x", logprobs: [token] },
  { tokens: 1, text: "", logprobs: [endToken], finishReason: "end_token" as const },
].map((piece, at) => ({ input: 0, choice: 0, from: Math.max(0, at - 1), textFrom: 0, ...piece }));

/** A call that begins, grows and ends, and one beside it. */
const callPieces: Piece[] = [
  [{ index: 0, id: "call_0", name: "f", argumentsFrom: 0, arguments: "" }],
  [{ index: 0, argumentsFrom: 0, arguments: '{"a' }],
  [
    { index: 0, argumentsFrom: 3, arguments: '": 1}' },
    { index: 1, id: "call_1", name: "f", argumentsFrom: 0, arguments: "{}" },
  ],
].map((toolCalls, from) => ({
  input: 0,
  choice: 0,
  from,
  tokens: 1,
  textFrom: 0,
  text: "",
  toolCalls,
  ...(from === 2 && { finishReason: "tool_calls" as const }),
}));

function bare(piece: Piece): Piece {
  const copy = { ...piece };
  delete copy.logprobs;
  return copy;
}

const soFar = () => "ééx";
const parsed = (events: readonly { data: string }[]): unknown[] =>
  events.map(({ data }) => (data === "[DONE]" ? data : JSON.parse(data)));

describe.skipIf(noSchemas !== null)("a chunk", () => {
  it("of chat is OpenAI's and ours, whatever the piece", () => {
    const older = { ...chat, functionCalls: true as const };
    const all = [...pieces.flatMap((each) => [each, bare(each)]), ...callPieces];
    for (const [form, piece] of all.flatMap((each) => [
      [chat, each] as const,
      [older, each] as const,
    ])) {
      for (const chunk of parsed(chatChunks(form, maker, piece))) {
        expect(wrongBy("CreateChatCompletionStreamResponse", chunk)).toEqual([]);
        ChatCompletionChunk.parse(chunk);
      }
    }
  });

  it("of completions is OpenAI's and ours", () => {
    for (const piece of pieces) {
      for (const chunk of parsed(completionChunks(completions, maker, piece, soFar))) {
        // In a stream a choice goes on, and the usage comes last; the one schema of this API is of whole answers.
        const wrong = wrongBy("CreateCompletionResponse", chunk).filter(
          (line) => !/^\/(choices\/0\/finish_reason|usage: must be object)/.test(line),
        );
        expect(wrong).toEqual([]);
        CompletionChunk.parse(chunk);
      }
    }
  });

  it("that ends a stream tells the usage where it was asked for, and nothing else does", () => {
    const [last, done] = parsed(chunksEnd("chat.completion.chunk", chat, maker, usage));
    expect(wrongBy("CreateChatCompletionStreamResponse", last)).toEqual([]);
    expect(last).toMatchObject({
      choices: [],
      usage: { prompt_tokens: 5, completion_tokens: 3, total_tokens: 8 },
    });
    expect(done).toBe("[DONE]");
    const silent = { ...chat, includeUsage: false };
    expect(parsed(chunksEnd("chat.completion.chunk", silent, maker, usage))).toEqual(["[DONE]"]);
    const [, piece] = pieces;
    if (piece === undefined) throw new Error("no piece");
    for (const [form, told] of [
      [chat, { usage: null }],
      [silent, {}],
    ] as const) {
      const [chunk] = parsed(chatChunks(form, maker, { ...piece, text: "a" }));
      expect(Object.keys(chunk as object).includes("usage")).toBe("usage" in told);
    }
  });
});

describe("chunks of chat", () => {
  it("begin with the role and end with the reason", () => {
    const deltas = pieces.flatMap((piece) =>
      parsed(chatChunks(chat, maker, { ...piece, from: piece.tokens === 0 ? 0 : 1 })).map(
        (chunk) => (chunk as { choices: { delta: object; finish_reason: string }[] }).choices[0],
      ),
    );
    expect(deltas[0]).toMatchObject({ delta: { role: "assistant", content: "", refusal: null } });
    expect(deltas.map((choice) => choice?.finish_reason)).toEqual([...Array(4).fill(null), "stop"]);
    expect(deltas.at(-1)).toMatchObject({ delta: {}, logprobs: null });
  });
});

describe("events of TGI", () => {
  const form = { details: true, topTokens: true, seed: 7 };

  it("are one for each token, whose texts together are what is written", () => {
    const events = pieces.flatMap((piece) => parsed(tgiChunks(form, piece, soFar)));
    const tokens = events.map((event) => GeneratedTextChunk.parse(event));
    expect(tokens.map((each) => each.token.text)).toEqual(["", "é", "é", "x", ""]);
    expect(tokens.map((each) => each.generated_text)).toEqual([null, null, null, null, "ééx"]);
    expect(tokens.at(-1)?.details).toEqual({
      finish_reason: "eos_token",
      generated_tokens: 4,
      seed: 7,
    });
  });

  it("stand beside OpenAI's fields where a client asks for both", () => {
    const both = { ...completions, logprobs: false, tgi: true, n: 1 };
    const chunks = pieces.flatMap((piece) => parsed(completionChunks(both, maker, piece, soFar)));
    for (const chunk of chunks) {
      CompletionChunk.parse(chunk);
      GeneratedTextChunk.parse(chunk);
    }
    expect(chunks).toHaveLength(5);
  });
});
