/** A text, gone on with. */
import * as z from "zod";
import { limits } from "../limits.ts";
import { defineTask } from "../task.ts";
import {
  Generation,
  generationParameters,
  isRepeatable,
  maxTokensWords,
  tokensMade,
} from "./generation.ts";

/** A text, or the model's own token ids. */
const Prompt = z.union([
  z.string().min(1).max(limits.stringCharactersMax),
  z.array(z.int().nonnegative()).min(1).max(limits.tokensPerRequestMax),
]);

const parameters = z.strictObject({
  ...generationParameters,
  max_tokens: z
    .int()
    .min(0)
    .max(limits.tokensPerRequestMax)
    .optional()
    .describe(`${maxTokensWords} 0: nothing is written, and with echo the prompt is told.`),
  echo: z.boolean().optional().describe("The choice begins with the prompt."),
});

export const textGeneration = defineTask({
  summary: "Go on with a text",
  example: {
    model: "SmolLM2-135M-Instruct",
    input: "The capital of France is",
    parameters: { max_tokens: 4, temperature: 0 },
    output: {
      choices: [{ text: " Paris.", finish_reason: "length", tokens: 4, logprobs: null }],
    },
    tokens: 5,
    made: 4,
  },
  input: Prompt,
  parameters,
  output: Generation,
  reads: (input) => [input],
  makes: tokensMade,
  repeats: isRepeatable,
  // Hugging Face's body says more than these parameters: its route words it (edge/routes).
  huggingFace: null,
});
