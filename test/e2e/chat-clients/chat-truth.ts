/**
 * What the clients are asked to continue, and what their answers are held to: our own as plain HTTP gives them. Written
 * by SmolLM2 where it is on this machine, else by a decoder of a few kilobytes that knows the words w3, w4 …
 */
import { existsSync, symlinkSync } from "node:fs";
import path from "node:path";
import { expect } from "vitest";
import type { RunningStack } from "../../../infra/local/start-stack.ts";
import { writeTinyDecoder } from "../../catalog/tiny-decoder.ts";
import { noSchemas, wrongBy } from "../../openai-schema.ts";

export type Running = () => RunningStack;

const smollm2 = "SmolLM2-135M-Instruct";
const folder = path.resolve(import.meta.dirname, "../../../../shared/models", smollm2);
export const isLarge = existsSync(folder);
if (!isLarge) console.info(`Skipped: chats with ${smollm2}, which is not on this machine`);

export const model = isLarge ? smollm2 : "tiny-llama";
/** Of the hub, which a path may hold. */
export const question = isLarge ? "What is the capital of France?" : "w5 w6 w7";
export const prompt = isLarge ? "The capital of France is" : "w5 w6 w7";
/** How the prompt goes on in every form that a machine may choose. What answers the question, a near tie decides. */
export const says = isLarge ? /^ Paris/ : /w\d+/;
export const messages = [{ role: "user" as const, content: question }];
export const maxTokens = 12;

/** @param models the folder that the worker serves models of */
export async function placeModel(models: string): Promise<void> {
  const at = path.join(models, model);
  if (isLarge) symlinkSync(folder, at);
  else await writeTinyDecoder(at);
}

async function answerTo<T>(stack: RunningStack, route: string, body: object): Promise<T> {
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
export async function messageOf(stack: RunningStack): Promise<string> {
  type Answer = { choices: { message: { content: string } }[] };
  const answer = await answerTo<Answer>(stack, "/v1/chat/completions", { messages });
  if (noSchemas === null) expect(wrongBy("CreateChatCompletionResponse", answer)).toEqual([]);
  return answer.choices[0]?.message.content ?? "";
}

/** @returns how the prompt goes on, as plain HTTP tells it */
export async function textOf(stack: RunningStack): Promise<string> {
  type Answer = { choices: { text: string }[] };
  const answer = await answerTo<Answer>(stack, "/v1/completions", { prompt });
  if (noSchemas === null) expect(wrongBy("CreateCompletionResponse", answer)).toEqual([]);
  return answer.choices[0]?.text ?? "";
}
