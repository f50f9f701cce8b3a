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

export type SseEvent = { id?: string; event?: string; data: Record<string, unknown> };

/** Reads server-sent events, by the letter of their specification as far as it is used here. */
export class SseReader {
  readonly #reader: ReadableStreamDefaultReader<string>;
  #text = "";
  #ended = false;

  constructor({ body }: Response) {
    if (body === null) throw new Error("a stream has no body");
    this.#reader = body.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** @returns the next event, comments left out; null at the end */
  async next(): Promise<SseEvent | null> {
    for (;;) {
      const block = await this.#block();
      if (block === null) return null;
      if (!block.startsWith(":")) return parsed(block);
    }
  }

  /** @returns the next block, which is a comment */
  async comment(): Promise<string> {
    const block = await this.#block();
    if (block === null || !block.startsWith(": ")) throw new Error(`no comment: ${block}`);
    return block.slice(2);
  }

  async rest(): Promise<SseEvent[]> {
    const events: SseEvent[] = [];
    for (let event = await this.next(); event !== null; event = await this.next()) {
      events.push(event);
    }
    return events;
  }

  async #block(): Promise<string | null> {
    while (!this.#text.includes("\n\n")) {
      if (this.#ended) return null;
      const { value = "", done } = await this.#reader.read();
      this.#text += value;
      this.#ended = done;
    }
    const end = this.#text.indexOf("\n\n");
    const block = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 2);
    return block;
  }
}

function parsed(block: string): SseEvent {
  const fields = block.split("\n").map((line) => {
    const colon = line.indexOf(": ");
    return [line.slice(0, colon), line.slice(colon + 2)];
  });
  const { data = "null", ...rest } = Object.fromEntries(fields);
  return { ...rest, data: data === "[DONE]" ? { done: true } : JSON.parse(data) };
}
