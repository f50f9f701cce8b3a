/** What tests of streams have in common: a caller that streams, and a worker that tells tokens. */
import type { JobEvent, Piece } from "../../../contract/events.ts";
import type { JobMessage } from "../../../contract/job-message.ts";
import { resultDocument } from "../../../contract/result-document.ts";
import type { ModelState } from "../../../contract/models.ts";
import { allRounder } from "../stand-in-worker.ts";
import { type Call, call } from "./caller-and-worker.ts";

/** As the operator, of a task that generates. */
export function openStream(text: string, more: object = {}, options: Call = {}): Promise<Response> {
  const parameters = { temperature: 0 };
  const body = { model: "writer", inputs: [text], parameters, stream: true, ...more };
  return call("/v1/tasks/text-generation", { body, ...options });
}

export function piece(
  from: number,
  text: string,
  textFrom = 0,
  finishReason?: Piece["finishReason"],
): Piece {
  const end = finishReason === undefined ? {} : { finishReason };
  return { input: 0, choice: 0, from, tokens: 1, textFrom, text, ...end };
}

function common({ id: jobId, tenant, requestKey }: JobMessage, sequence: number) {
  return { jobId, tenant, requestKey, sequence };
}

const made = { model: "writer", modelDigest: "digest-of-the-writer" };

/** A model that writes. */
export const writer: ModelState = {
  ...allRounder,
  id: made.model,
  aliases: [],
  tasks: ["text-generation"],
  digest: made.modelDigest,
};

export function tokens(message: JobMessage, sequence: number, pieces: Piece[]): JobEvent {
  return { type: "tokens", ...common(message, sequence), ...made, pieces };
}

/** The end of a job that wrote these texts, of two tokens each. */
export function generated(
  message: JobMessage,
  sequence: number,
  texts: string[],
  outputOf: (text: string) => unknown = generation,
): JobEvent {
  const { task, model } = message;
  const usage = { promptTokens: 3, completionTokens: 2 * texts.length };
  const outputs = texts.map(outputOf);
  const result = { task, ...made, model, outputs, usage, warnings: [] };
  const document = resultDocument(result);
  return { type: "succeeded", ...common(message, sequence), ...made, usage, result: document };
}

function generation(text: string) {
  return { choices: [{ text, finish_reason: "length", tokens: 2, logprobs: null }] };
}
