/** The next message of a conversation. */
import * as z from "zod";
import { limits } from "../limits.ts";
import { defineTask } from "../task.ts";
import { Generation, GenerationParameters, isRepeatable, tokensMade } from "./generation.ts";
import { readsOfTools, toolLimits, ToolName, toolParameters, wrongOfChoice } from "./tool.ts";

export const chatRoles = ["system", "developer", "user", "assistant", "tool"] as const;

const callId = z.string().max(toolLimits.callIdCharactersMax);

export const ChatMessage = z.strictObject({
  role: z.enum(chatRoles).describe("Who speaks."),
  content: z
    .union([
      z.string().max(limits.stringCharactersMax),
      z
        .array(
          z.strictObject({
            text: z.string().max(limits.stringCharactersMax).describe("A part of what is said."),
          }),
        )
        .max(limits.inputsMax),
    ])
    .describe("What is said. Parts are texts; a template gets them line by line."),
  name: z.string().max(64).optional().describe("Of who speaks, where a template asks for it."),
  tool_calls: z
    .array(
      z.strictObject({
        id: callId.describe("Of the call, which its answer names."),
        name: ToolName.describe("Of the tool."),
        arguments: z.string().max(limits.stringCharactersMax).describe("JSON text."),
      }),
    )
    .min(1)
    .max(toolLimits.callsPerMessageMax)
    .optional()
    .describe("What the assistant asked to have called."),
  tool_call_id: callId.optional().describe("Of the call that a tool answers."),
});
export type ChatMessage = z.infer<typeof ChatMessage>;

/** Tokens that a chat template puts around a message, about. */
export const tokensPerMessage = 8;

const Conversation = z.strictObject({
  messages: z.array(ChatMessage).min(1).max(limits.inputsMax).describe("What was said so far."),
});

export const ChatParameters = GenerationParameters.extend(toolParameters).check(
  ({ value, issues }) => {
    const message = wrongOfChoice(value);
    if (message === null) return;
    issues.push({ code: "custom", message, path: ["tool_choice"], input: value.tool_choice });
  },
);
export type ChatParameters = z.infer<typeof ChatParameters>;

export const chatCompletion = defineTask({
  summary: "Continue a conversation",
  example: {
    model: "SmolLM2-135M-Instruct",
    input: {
      messages: [
        { role: "user", content: "What is the capital of France? Answer in one sentence." },
      ],
    },
    parameters: { max_tokens: 16, temperature: 0 },
    output: {
      choices: [
        {
          text: "The capital of France is Paris.",
          finish_reason: "end_token",
          tokens: 8,
          logprobs: null,
        },
      ],
    },
    tokens: 42,
    made: 8,
  },
  input: Conversation,
  parameters: ChatParameters,
  output: Generation,
  reads: ({ messages }, parameters) => [
    ...readsOfTools(parameters),
    ...messages.flatMap(({ content, tool_calls: calls = [] }) => [
      ...(typeof content === "string" ? [content] : content.map(({ text }) => text)),
      ...calls.map((call) => `${call.name} ${call.arguments}`),
      { tokens: tokensPerMessage * (1 + calls.length) },
    ]),
  ],
  makes: tokensMade,
  repeats: isRepeatable,
  huggingFace: null,
});
