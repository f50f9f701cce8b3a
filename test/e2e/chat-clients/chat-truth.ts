/** What the clients are asked to continue, and what their answers are held to: our own as plain HTTP gives them. */
import { expect } from "vitest";
import { noSchemas, wrongBy } from "../../openai-schema.ts";
import { isLarge, model } from "../chat-model.ts";
import type { SharedStack } from "../shared-stack.ts";

export type Running = () => SharedStack;

/** Of the hub, which a path may hold. */
export const question = isLarge ? "What is the capital of France?" : "w5 w6 w7";
export const prompt = isLarge ? "The capital of France is" : "w5 w6 w7";
/** How the prompt goes on in every form that a machine may choose. What answers the question, a near tie decides. */
export const says = isLarge ? /^ Paris/ : /w\d+/;
export const messages = [{ role: "user" as const, content: question }];
export const maxTokens = 12;

async function answerTo<T>(stack: SharedStack, route: string, body: object): Promise<T> {
  const response = await fetch(`${stack.url}${route}`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${stack.operatorKey}`,
      "content-type": "application/json",
    },
    body: JSON.stringify({ model, max_tokens: maxTokens, temperature: 0, ...body }),
  });
  const answer = (await response.json()) as T;
  expect(response.status, JSON.stringify(answer)).toBe(200);
  return answer;
}

/** @returns the next message, as plain HTTP tells it */
export async function messageOf(stack: SharedStack): Promise<string> {
  type Answer = { choices: { message: { content: string } }[] };
  const answer = await answerTo<Answer>(stack, "/v1/chat/completions", { messages });
  if (noSchemas === null) expect(wrongBy("CreateChatCompletionResponse", answer)).toEqual([]);
  return answer.choices[0]?.message.content ?? "";
}

/** @returns how the prompt goes on, as plain HTTP tells it */
export async function textOf(stack: SharedStack): Promise<string> {
  type Answer = { choices: { text: string }[] };
  const answer = await answerTo<Answer>(stack, "/v1/completions", { prompt });
  if (noSchemas === null) expect(wrongBy("CreateCompletionResponse", answer)).toEqual([]);
  return answer.choices[0]?.text ?? "";
}
