/**
 * How well a prompt does on labelled examples, and whether another wording or other shots do better. Asked for by the
 * route of prompts: everything of it travels as one input.
 */
import * as z from "zod";
import { estimatedCalls } from "../prompts/estimated-calls.ts";
import { evaluationLimits } from "../prompts/evaluation-plan.ts";
import { Prompt, PromptExample, PromptMessage, promptLimits } from "../prompts/prompt.ts";
import { PromptReport } from "../prompts/prompt-report.ts";
import { defineTask } from "../task.ts";
import { generationParameters, isRepeatable } from "./generation.ts";

export const PromptVariant = z.strictObject({
  name: z.string().min(1).max(promptLimits.nameCharactersMax).describe("Names it in the report."),
  messages: z
    .array(PromptMessage)
    .min(1)
    .max(promptLimits.messagesMax)
    .describe("In place of the prompt's own, with the same variables."),
});
export type PromptVariant = z.infer<typeof PromptVariant>;

export const EvaluationLabels = z
  .array(z.string().min(1).max(evaluationLimits.labelCharactersMax))
  .min(2)
  .max(evaluationLimits.labelsMax)
  .describe("The classes: each example's output is one of them.");

export const EvaluationExamples = z
  .array(PromptExample)
  .min(1)
  .max(evaluationLimits.examplesMax)
  .describe("Variables, and what the answer to them is to be.");

export const PromptEvaluation = z.strictObject({
  prompt: Prompt.describe("What is evaluated."),
  examples: EvaluationExamples,
  labels: EvaluationLabels.nullable(),
  variants: z
    .array(PromptVariant)
    .max(evaluationLimits.variantsMax)
    .describe("Wordings to try beside those that are always tried."),
});
export type PromptEvaluation = z.infer<typeof PromptEvaluation>;

const { temperature, top_p, top_k, min_p, repetition_penalty } = generationParameters;
const { presence_penalty, frequency_penalty, seed, stop } = generationParameters;

/** What of a prompt's sampling counts. */
export const evaluatedSampling = {
  temperature,
  top_p,
  top_k,
  min_p,
  repetition_penalty,
  presence_penalty,
  frequency_penalty,
  seed,
  stop,
} as const;

export const EvaluationParameters = z.strictObject({
  ...evaluatedSampling,
  max_tokens: z.int().positive().max(evaluationLimits.maxTokensMax).describe("Of each answer."),
  constrain: z.boolean().describe("Nothing but a label is let be written."),
  optimise: z.boolean().describe("Other wordings and shots are tried on a part of the examples."),
  split_seed: z.int().describe("Which examples are held out."),
});
export type EvaluationParameters = z.infer<typeof EvaluationParameters>;

const figures = {
  examples: 2,
  right: 1,
  accuracy: { value: 0.5, low: 0.095, high: 0.905, level: 0.95 },
  exact_match: 0.5,
  word_f1: null,
  classes: [
    { label: "bad", precision: 0.5, recall: 1, f1: 0.667, support: 1 },
    { label: "good", precision: 0, recall: 0, f1: 0, support: 1 },
  ],
  macro_f1: 0.333,
  misses: [
    { index: 0, variables: '{"text":"A delight."}', expected: "good", answer: "bad", score: 0.71 },
  ],
};

/** Tokens that the families' templates put around a message; where nothing is said by the system, some say so much. */
const marksPerMessage = 5;
const systemTokens = 24;

export const promptEvaluation = defineTask({
  summary: "Evaluate a prompt",
  internal: true,
  example: {
    model: "SmolLM2-135M-Instruct",
    input: {
      prompt: {
        messages: [
          { role: "system", content: "Is the review good or bad?" },
          { role: "user", content: "{{text}}" },
        ],
        variables: { type: "object", properties: { text: { type: "string" } } },
        examples: [],
      },
      examples: [
        { variables: { text: "A delight." }, output: "good" },
        { variables: { text: "A bore." }, output: "bad" },
      ],
      labels: ["good", "bad"],
      variants: [],
    },
    parameters: {
      temperature: 0,
      max_tokens: 8,
      constrain: true,
      optimise: false,
      split_seed: 0,
    },
    output: {
      constrained: true,
      figures,
      optimisation: null,
      cost: { calls: 2, prompt_tokens: 61, completion_tokens: 4, units: 65 },
    },
    tokens: 61,
    made: 4,
  },
  input: PromptEvaluation,
  parameters: EvaluationParameters,
  output: PromptReport,
  reads: (input, { max_tokens, constrain, ...search }) => {
    const [first = "", ...others] = constrain ? (input.labels ?? []) : [];
    const longest = others.reduce((a, b) => (b.length > a.length ? b : a), first);
    const answer = longest === "" ? { tokens: max_tokens } : longest;
    // One text of a call, whose special tokens are its messages'; a prompt's messages are texts, and no parts.
    return estimatedCalls(input, search).flatMap((messages) => [
      messages.map(({ content }) => (typeof content === "string" ? content : "")).join("\n"),
      {
        tokens:
          marksPerMessage * messages.length + (messages[0]?.role === "system" ? 0 : systemTokens),
      },
      answer,
    ]);
  },
  repeats: isRepeatable,
  huggingFace: null,
});
