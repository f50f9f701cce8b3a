/**
 * What the two tasks share that have a model write: how its tokens are chosen, and what it wrote. Ids are the model's
 * own throughout.
 */
import * as z from "zod";
import { limits } from "../limits.ts";
import { Structure } from "./structure.ts";
import { ToolCall } from "./tool-call.ts";

export const generationLimits = {
  /** Choices of one input (`n`). */
  choicesMax: 8,
  /** Of all inputs of a request together. */
  choicesPerRequestMax: 128,
  stopsMax: 4,
  /** Of one stop string, in UTF-16 units. */
  stopCharactersMax: 500,
  topLogprobsMax: 20,
  logitBiasMax: 1_024,
  /** Tokens of a choice where the request names no number, if the model has room for so many. */
  maxTokensDefault: 512,
} as const;

const { maxTokensDefault } = generationLimits;
export const maxTokensWords = `The most tokens of a choice. Default: ${maxTokensDefault}, or what there is room for.`;

const penalty = z.number().min(-2).max(2).optional();

export const generationParameters = {
  max_tokens: z
    .int()
    .positive()
    .max(limits.tokensPerRequestMax)
    .optional()
    .describe(maxTokensWords),
  n: z
    .int()
    .min(1)
    .max(generationLimits.choicesMax)
    .optional()
    .describe("How many choices are made of each input."),
  temperature: z
    .number()
    .min(0)
    .max(2)
    .optional()
    .describe("0: always the likeliest token. Default: 1."),
  top_p: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe("Only the likeliest tokens that together have this probability. Default: 1."),
  top_k: z.int().min(0).optional().describe("Only so many of the likeliest tokens. 0: all."),
  min_p: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe("Only tokens with at least this part of the likeliest one's probability."),
  repetition_penalty: z
    .number()
    .positive()
    .max(10)
    .optional()
    .describe("Over prompt and answer: above 1, tokens that occurred become less likely."),
  presence_penalty: penalty.describe("Taken once from the logit of each token that was generated."),
  frequency_penalty: penalty.describe(
    "Taken from the logit of a token for each time it was generated.",
  ),
  logit_bias: z
    .record(
      z.string().regex(/^\d{1,9}$/, { error: "a token's id is a whole number from 0 on" }),
      z.number().min(-100).max(100),
    )
    .refine((bias) => Object.keys(bias).length <= generationLimits.logitBiasMax, {
      error: `at most ${generationLimits.logitBiasMax} tokens are taken: leave some out`,
    })
    .optional()
    .describe("Added to the logits of tokens, by the model's own ids."),
  seed: z
    .int()
    .optional()
    .describe("The same seed gives the same answer. Default: a seed of the call's own."),
  stop: z
    .array(z.string().min(1).max(generationLimits.stopCharactersMax))
    .max(generationLimits.stopsMax)
    .optional()
    .describe("A choice ends before the first of these."),
  top_logprobs: z
    .int()
    .min(0)
    .max(generationLimits.topLogprobsMax)
    .optional()
    .describe(
      "Each token's log probability is told, and those of so many alternatives. Absent: none.",
    ),
  structure: Structure.optional().describe("What is written must look like this."),
} as const;

export const GenerationParameters = z.strictObject(generationParameters);
export type GenerationParameters = z.infer<typeof GenerationParameters>;

const token = {
  id: z.int().nonnegative().describe("In the model's own vocabulary."),
  text: z.string().describe("The token by itself, as text."),
  bytes: z
    .array(z.int().min(0).max(255))
    .nullish()
    .describe("Where the text has replacement characters for them. Null: a token without any."),
} as const;

export const TokenAlternative = z.object({
  ...token,
  logprob: z.number().describe("Natural logarithm, of the model's own distribution."),
});
export type TokenAlternative = z.infer<typeof TokenAlternative>;

export const TokenLogprob = z.object({
  ...token,
  logprob: z
    .number()
    .nullable()
    .describe(
      "Natural logarithm, of the model's own distribution. Null: the first token of a prompt has none.",
    ),
  special: z.boolean().optional().describe("Whether it is one of the model's special tokens."),
  top: z
    .array(TokenAlternative)
    .max(generationLimits.topLogprobsMax)
    .describe("The likeliest tokens at this place, the likeliest first."),
});
export type TokenLogprob = z.infer<typeof TokenLogprob>;

export const FinishReason = z.enum(["length", "end_token", "stop_sequence", "tool_calls"]);
export type FinishReason = z.infer<typeof FinishReason>;

export const Choice = z.object({
  text: z.string().describe("What was written."),
  finish_reason: FinishReason.describe("Why it ended."),
  tokens: z
    .int()
    .nonnegative()
    .describe("Tokens that were generated, the one that ended it included."),
  logprobs: z
    .array(TokenLogprob)
    .nullable()
    .describe("Of each token, with echo the prompt's first. Null: not asked for."),
  tool_calls: z.array(ToolCall).min(1).optional().describe("What it calls. Absent: nothing."),
});
export type Choice = z.infer<typeof Choice>;

/** What an input is answered with. */
export const Generation = z.object({
  choices: z.array(Choice).describe("As many as were asked for."),
});
export type Generation = z.infer<typeof Generation>;

/** Tokens that a worker may make of one input, at most. @param room of a choice, in tokens */
export function tokensMade(
  { n = 1, max_tokens: each = generationLimits.maxTokensDefault }: GenerationParameters,
  room: number,
): number {
  return n * Math.min(each, room);
}

/** Whether the same call is answered the same: nothing is left to chance, or chance is given. */
export function isRepeatable({ temperature, seed }: GenerationParameters): boolean {
  return temperature === 0 || seed !== undefined;
}
