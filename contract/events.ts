/**
 * What a worker reports of its jobs, grouped, at least every `limits.reportIntervalMs` while work is in flight: by POST
 * /internal/shards/{shard}/events, and while a job of the shard streams by a WebSocket on the same address, opened with
 * the same signature over an empty body: an `EventsRequest` as text goes up for each POST saved, an `EventsResponse`
 * comes down for each, and one more whenever jobs are to be given up. Events are delivered at least once; a job's
 * `sequence` grows, so the shard drops what it has seen, and nothing after a terminal event counts.
 *
 * Events stand alone: each is read, carried out and acknowledged by itself, so that one that cannot be holds nobody
 * else's. One that is neither acknowledged nor refused is sent again; one that is refused would be refused again.
 */
import * as z from "zod";
import { PublicError } from "./errors.ts";
import { JobId } from "./job-id.ts";
import { ModelDigest } from "./models.ts";
import { ObjectReference } from "./object-reference.ts";
import { ResultDocument, Usage } from "./result-document.ts";
import { Sha256 } from "./sha256.ts";
import { FinishReason, TokenLogprob } from "./tasks/generation.ts";
import { ToolCallPiece } from "./tasks/tool-call.ts";

const common = {
  jobId: JobId,
  sequence: z.int().positive(),
  /** Echoes of the message, so that a shard which forgot a job can still store and settle its result. */
  tenant: z.string().min(1).max(100),
  requestKey: Sha256.nullable(),
} as const;

export const StartedEvent = z.object({ ...common, type: z.literal("started") });
export const ProgressEvent = z.object({
  ...common,
  type: z.literal("progress"),
  completed: z.int().nonnegative(),
  total: z.int().positive(),
});
/**
 * What a choice has grown by. `from` and `textFrom` say what of it came before, so that a shard which heard the same
 * from another worker neither repeats nor misses anything.
 */
export const Piece = z.object({
  /** Index of the input, and of the choice made of it. */
  input: z.int().nonnegative(),
  choice: z.int().nonnegative(),
  /** Tokens before this piece. */
  from: z.int().nonnegative(),
  tokens: z.int().nonnegative(),
  /** UTF-16 units before this piece. */
  textFrom: z.int().nonnegative(),
  /** Often empty: a token may hold a part of a character, or what may become a stop string. */
  text: z.string(),
  /** Of the tokens, where they were asked for. */
  logprobs: z.array(TokenLogprob).optional(),
  /** Calls of tools that it grew by. */
  toolCalls: z.array(ToolCallPiece).optional(),
  /** With the last piece of the choice. */
  finishReason: FinishReason.optional(),
});
export type Piece = z.infer<typeof Piece>;

/** Of a job whose message asked for a stream. The result repeats all of it. */
export const TokensEvent = z.object({
  ...common,
  type: z.literal("tokens"),
  model: z.string().max(200),
  modelDigest: z.string().min(1).max(200),
  pieces: z.array(Piece).min(1).max(1_000),
});
export type TokensEvent = z.infer<typeof TokensEvent>;

export const SucceededEvent = z.object({
  ...common,
  type: z.literal("succeeded"),
  /** Repeated outside the result, which may be a reference. */
  modelDigest: z.string().min(1).max(200),
  usage: Usage,
  /** A result document, or where it lies. */
  result: z.union([ResultDocument, ObjectReference]),
  /**
   * The models that had a part in it, the request's own first: the edge knows their digests before they are announced.
   */
  models: z.array(ModelDigest).max(10).optional(),
});
export const FailedEvent = z.object({
  ...common,
  type: z.literal("failed"),
  error: PublicError,
  /** Of what was computed before it failed: charged where the caller is at fault. Absent: nothing was. */
  usage: Usage.optional(),
});
/** The worker has given the job up because the edge named it in `cancelled`. */
export const CancelledEvent = z.object({
  ...common,
  type: z.literal("cancelled"),
  /** Of rows that were computed, or in a batch that was running. */
  usage: Usage,
});

export const JobEvent = z.discriminatedUnion("type", [
  StartedEvent,
  ProgressEvent,
  TokensEvent,
  SucceededEvent,
  FailedEvent,
  CancelledEvent,
]);
export type JobEvent = z.infer<typeof JobEvent>;
/** The last event of a job at this worker. */
export type TerminalEvent = Extract<JobEvent, { type: "succeeded" | "failed" | "cancelled" }>;
export type SucceededEvent = z.infer<typeof SucceededEvent>;
export type FailedEvent = z.infer<typeof FailedEvent>;

export const EventsRequest = z.object({
  worker: z.string().min(1).max(100),
  events: z.array(JobEvent).max(1_000),
  /** Jobs of this shard the worker holds, so that the answer can name those to give up; with tokens alone, none. */
  inFlight: z.array(JobId).max(10_000),
  /** Of a message on a WebSocket: its number there, which the answer repeats. */
  message: z.int().positive().optional(),
});
export type EventsRequest = z.infer<typeof EventsRequest>;

/** The request as the edge reads it first: each event is then parsed by itself. */
export const EventsEnvelope = EventsRequest.extend({ events: z.array(z.unknown()).max(1_000) });
export type EventsEnvelope = z.infer<typeof EventsEnvelope>;

export const EventsResponse = z.object({
  acked: z.array(z.object({ jobId: JobId, sequence: z.int().positive() })),
  /** Jobs nobody waits for any more. A job the shard does not know is never listed: its result may still be wanted. */
  cancelled: z.array(JobId),
  /** Events that are none, by their place in the request. Absent: none. */
  refused: z
    .array(z.object({ index: z.int().nonnegative(), reason: z.string().max(1_000) }))
    .optional(),
  /** On a WebSocket: the number of the message that it answers. Absent: it answers none. */
  message: z.int().positive().optional(),
});
export type EventsResponse = z.infer<typeof EventsResponse>;
