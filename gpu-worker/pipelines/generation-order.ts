/** What a request asks of a decoder, checked against the model: how tokens are chosen, and how many there may be. */
import { createHash } from "node:crypto";
import { CodedError } from "#contract/errors.ts";
import { limits } from "#contract/limits.ts";
import { generationLimits, type GenerationParameters } from "#contract/tasks/generation.ts";
import type { SamplingParameters } from "../model/generation.ts";
import type { DecoderModel } from "../model/decoder-model.ts";
import type { Prompt } from "./read-prompts.ts";

/** A prompt with what may be made of it. */
export type OrderedPrompt = Prompt & { readonly maxTokens: number };

/** @throws CodedError for a token that the model has not */
function biasOf(
  { logit_bias: bias = {} }: GenerationParameters,
  { id, limits: own }: DecoderModel,
): ReadonlyMap<number, number> {
  const entries = Object.entries(bias).map(([key, value]) => [Number(key), value] as const);
  for (const [token] of entries) {
    if (token < own.vocabularySize) continue;
    throw new CodedError(
      "invalid_value",
      `logit_bias names the token id ${token}, but the ids of ${id} end at ${own.vocabularySize - 1}. ` +
        "Token ids must be of the model's own vocabulary.",
      { param: "logit_bias" },
    );
  }
  return new Map(entries);
}

/** Of a call that names none: the same at whichever worker, and another for each input. */
function seedOf(jobId: string, input: number): number {
  return createHash("sha256").update(`${jobId} ${input}`).digest().readUIntBE(0, 6);
}

/** @returns those of each input, by its index @throws CodedError */
export function samplingOf(
  parameters: GenerationParameters,
  model: DecoderModel,
  jobId: string,
): (input: number) => SamplingParameters {
  const logitBias = biasOf(parameters, model);
  return (input) => ({
    temperature: parameters.temperature ?? 1,
    topP: parameters.top_p ?? 1,
    topK: parameters.top_k ?? 0,
    minP: parameters.min_p ?? 0,
    repetitionPenalty: parameters.repetition_penalty ?? 1,
    presencePenalty: parameters.presence_penalty ?? 0,
    frequencyPenalty: parameters.frequency_penalty ?? 0,
    logitBias,
    seed: parameters.seed ?? seedOf(jobId, input),
    topLogprobs: parameters.top_logprobs ?? null,
  });
}

/** @throws CodedError where the model has no room for what is asked for */
function maxTokensOf(
  { name, ids }: Prompt,
  { max_tokens: asked }: GenerationParameters,
  { id, limits: { maxTokens } }: DecoderModel,
): number {
  const room = maxTokens - ids.length;
  if (asked === undefined) return Math.min(generationLimits.maxTokensDefault, room);
  if (asked <= room) return asked;
  throw new CodedError(
    "context_length_exceeded",
    `${name} has ${ids.length} tokens and max_tokens is ${asked}, ${ids.length + asked} in all, but ${id} ` +
      `takes at most ${maxTokens}, prompt and answer together. ` +
      `Shorten the prompt, or set max_tokens to ${room} or less.`,
    { param: "max_tokens" },
  );
}

/** @throws CodedError for a prompt, or a request, that asks for too much; the signal's reason */
export async function orderPrompts(
  prompts: AsyncIterable<Prompt>,
  parameters: GenerationParameters,
  model: DecoderModel,
): Promise<OrderedPrompt[]> {
  const ordered: OrderedPrompt[] = [];
  const choices = parameters.n ?? 1;
  let tokens = 0;
  for await (const prompt of prompts) {
    const maxTokens = maxTokensOf(prompt, parameters, model);
    tokens += prompt.ids.length + choices * maxTokens;
    if (tokens > limits.tokensPerRequestMax) throw tooMuch();
    ordered.push({ ...prompt, maxTokens });
  }
  return ordered;
}

function tooMuch(): CodedError {
  return new CodedError(
    "context_length_exceeded",
    `The prompts and what may be made of them, n times max_tokens each, come to more than ` +
      `${limits.tokensPerRequestMax} tokens, the most of one request. ` +
      "Send fewer prompts, or ask for less of each with n and max_tokens.",
    { param: "inputs" },
  );
}
