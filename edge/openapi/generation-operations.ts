/** The operations that have a model write: OpenAI's chat and completions, and TGI's. */
import type * as z from "zod";
import { tasks } from "#contract/tasks.ts";
import { requestId } from "../http/response-headers.ts";
import { AddressedChatRequest, ChatCompletionsRequest } from "../routes/chat-completions.ts";
import { AddressedCompletionsRequest, CompletionsRequest } from "../routes/completions.ts";
import { GenerateRequest } from "../routes/hugging-face-generation.ts";
import { SummarizationRequest, TranslationRequest } from "../routes/hugging-face-written.ts";
import { type Example, exampleOf } from "./examples.ts";
import {
  ChatCompletionChunk,
  ChatCompletionResponse,
  CompletionChunk,
  CompletionResponse,
  GeneratedTextChunk,
  GeneratedTextResponse,
  SummarizationResponse,
  TranslationResponse,
} from "./generation-schemas.ts";
import type { Operation } from "./operation.ts";

export type GenerationOperation = Pick<
  Operation,
  "path" | "id" | "tag" | "summary" | "description" | "example" | "model" | "strict"
> & { request: z.ZodType; response: z.ZodType; event: z.ZodType };

const chat = tasks["chat-completion"].example;
const completion = tasks["text-generation"].example;
const created = 1_764_336_000;
const call = requestId.slice("req_".length);
const frame = { created, model: chat.model, system_fingerprint: "fp_1c2b7d0c9d4e" };

const streamed =
  "With stream each event is a chunk, and the last line [DONE]; lines that begin with a colon tell of the queue.";

const chatExample = {
  ...exampleOf(
    "chat-completion",
    {
      route: "openai.chat",
      id: `chatcmpl-${call}`,
      created,
      maxTokensField: null,
      includeUsage: false,
    },
    { model: chat.model, ...chat.input, ...chat.parameters },
  ),
  event: {
    id: `chatcmpl-${call}`,
    object: "chat.completion.chunk",
    ...frame,
    choices: [{ index: 0, delta: { content: " Paris" }, logprobs: null, finish_reason: null }],
  },
};

const completionExample = {
  ...exampleOf(
    "text-generation",
    {
      route: "openai.completions",
      id: `cmpl-${call}`,
      created,
      single: true,
      n: 1,
      includeUsage: false,
      logprobs: false,
      tgi: false,
    },
    { model: completion.model, prompt: completion.input, ...completion.parameters },
  ),
  event: {
    id: `cmpl-${call}`,
    object: "text_completion",
    ...frame,
    choices: [{ text: " Paris", index: 0, logprobs: null, finish_reason: null }],
  },
};

/** Of an address that names the model. */
function addressed<E extends Example>({ request, ...example }: E) {
  const { model: _, ...body } = request as Record<string, unknown>;
  return { ...example, request: body };
}

const { max_tokens: max_new_tokens } = completion.parameters;

export const generate: GenerationOperation = {
  path: "/hf/models/{model}/pipeline/text-generation",
  id: "textGeneration",
  tag: "Hugging Face",
  summary: "Go on with a text, as TGI does",
  description:
    "Greedily, unless do_sample, temperature, top_k or top_p says otherwise. With stream each event is a token.",
  request: GenerateRequest,
  response: GeneratedTextResponse,
  event: GeneratedTextChunk,
  example: {
    ...exampleOf(
      "text-generation",
      { route: "hugging-face.text-generation", details: false, topTokens: false, seed: null },
      { inputs: completion.input, parameters: { max_new_tokens } },
    ),
    event: {
      index: 1,
      token: { id: 7042, text: " Paris", logprob: -0.27, special: false },
      generated_text: null,
      details: null,
    },
  },
  model: completion.model,
  strict: true,
};

const ofAnyModel =
  "Of a prompt of the platform, by its id, or of any model that takes a conversation. Clients of Hugging Face " +
  "work as they are.";

export const writtenOperations: readonly Omit<GenerationOperation, "event">[] = [
  {
    path: "/hf/models/{model}/pipeline/summarization",
    id: "summarization",
    tag: "Hugging Face",
    summary: "Summarize texts, as Hugging Face does",
    description: ofAnyModel,
    request: SummarizationRequest,
    response: SummarizationResponse,
    example: {
      request: { inputs: "The council met on Monday. It approved the tram line.", parameters: {} },
      response: [{ summary_text: "The council approved the tram line on Monday." }],
    },
    model: "summarize",
    strict: true,
  },
  {
    path: "/hf/models/{model}/pipeline/translation",
    id: "translation",
    tag: "Hugging Face",
    summary: "Translate texts, as Hugging Face does",
    description: ofAnyModel,
    request: TranslationRequest,
    response: TranslationResponse,
    example: {
      request: { inputs: "Good morning.", parameters: { tgt_lang: "fr" } },
      response: [{ translation_text: "Bonjour." }],
    },
    model: "translate",
    strict: true,
  },
];

export const generationOperations: readonly GenerationOperation[] = [
  {
    path: "/v1/chat/completions",
    id: "createChatCompletion",
    tag: "Chat",
    summary: "Continue a conversation, as OpenAI does",
    description: `Gives the next message. Clients of OpenAI's API work as they are. ${streamed}`,
    request: ChatCompletionsRequest,
    response: ChatCompletionResponse,
    event: ChatCompletionChunk,
    example: chatExample,
    strict: true,
  },
  {
    path: "/v1/completions",
    id: "createCompletion",
    tag: "Chat",
    summary: "Go on with texts, as OpenAI's older API does",
    description: `Each prompt is gone on with by itself. ${streamed}`,
    request: CompletionsRequest,
    response: CompletionResponse,
    event: CompletionChunk,
    example: completionExample,
    strict: true,
  },
  generate,
  {
    path: "/hf/models/{model}/v1/chat/completions",
    id: "createModelChatCompletion",
    tag: "Hugging Face",
    summary: "Continue a conversation, as Hugging Face's clients ask for it",
    description: `As /v1/chat/completions; the address says which model. ${streamed}`,
    request: AddressedChatRequest,
    response: ChatCompletionResponse,
    event: ChatCompletionChunk,
    example: addressed(chatExample),
    model: chat.model,
    strict: true,
  },
  {
    path: "/hf/models/{model}/v1/completions",
    id: "createModelCompletion",
    tag: "Hugging Face",
    summary: "Go on with texts, as Hugging Face's clients ask for it",
    description: `As /v1/completions; the address says which model. ${streamed}`,
    request: AddressedCompletionsRequest,
    response: CompletionResponse,
    event: CompletionChunk,
    example: addressed(completionExample),
    model: completion.model,
    strict: true,
  },
];
