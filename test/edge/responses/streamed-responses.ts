/** What tests of responses that are streamed have in common: calls, events, and a worker's words. */
import { expect } from "vitest";
import type { Piece } from "../../../contract/events.ts";
import type { JobMessage } from "../../../contract/job-message.ts";
import { type SseEvent, SseReader } from "../../sse-reader.ts";
import { call, sent } from "../jobs/caller-and-worker.ts";
import type { OutsideWorld } from "../jobs/outside-world.ts";
import { generated, piece, writer } from "../jobs/streams-in-tests.ts";
import type { ResponseBody } from "./responses-in-tests.ts";

export const path = "/v1/responses";

export function create(body: object, signal?: AbortSignal): Promise<Response> {
  const whole = { model: writer.id, input: crypto.randomUUID(), ...body };
  return call(path, { body: whole, ...(signal === undefined ? {} : { signal }) });
}

export async function get(id: string): Promise<ResponseBody> {
  const response = await call(`${path}/${id}`, { method: "GET" });
  expect(response.status).toBe(200);
  return response.json();
}

/** Goes on with a response's events. */
export async function reader(id: string, query = ""): Promise<SseReader> {
  return new SseReader(await call(`${path}/${id}?stream=true${query}`, { method: "GET" }));
}

/** The next events of a stream, as many as it has if it ends. */
export async function readSome(stream: SseReader, count: number): Promise<SseEvent[]> {
  const events: SseEvent[] = [];
  for (const _ of upTo(count)) events.push(...[await stream.next()].flatMap((each) => each ?? []));
  return events;
}

export async function background(world: OutsideWorld, more: object = {}, index = 0) {
  const response = await create({ background: true, ...more });
  const body = await response.json<ResponseBody>();
  return { id: body.id, body, message: await sent(world, index) };
}

export function responseOf(data: SseEvent["data"] | undefined): ResponseBody {
  if (data === undefined) throw new Error("no event");
  return data["response"] as ResponseBody;
}

export const typesOf = (events: readonly SseEvent[]) => events.map(({ data }) => data["type"]);
export const numbersOf = (events: readonly SseEvent[]) =>
  events.map(({ data }) => data["sequence_number"]);
export const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

export const told = (
  from: number,
  text: string,
  textFrom: number,
  more: Partial<Piece> = {},
): Piece => ({
  ...piece(from, text, textFrom),
  ...more,
});

/** "In Paris." in two pieces. */
export const pieces = [
  told(0, "In", 0),
  told(1, " Paris.", 2, { finishReason: "end_token" }),
] as const;

export function ends(message: JobMessage, sequence = 9) {
  return generated(message, sequence, ["In Paris."], (text) => ({
    choices: [{ text, finish_reason: "end_token", tokens: 2, logprobs: null }],
  }));
}

export const whole = [
  "response.created",
  "response.in_progress",
  "response.output_item.added",
  "response.content_part.added",
  "response.output_text.delta",
  "response.output_text.delta",
  "response.output_text.done",
  "response.content_part.done",
  "response.output_item.done",
  "response.completed",
];
export const queued = ["response.created", "response.queued", ...whole.slice(1)];
