/**
 * What the stateless edge and a job shard say to each other. Plain data that RPC copies cheaply: messages and results
 * travel as JSON text that nobody in between parses.
 */
import type { PublicError } from "#contract/errors.ts";
import type { TokensEvent } from "#contract/events.ts";
import type { JobId } from "#contract/job-id.ts";
import type { Task } from "#contract/tasks.ts";
import type { Job, JobProgress } from "../answers/job.ts";
import type { Rendering } from "../answers/rendering.ts";
import type { StoredResult } from "../storage/stored-result.ts";
import type { Webhook } from "../webhooks/webhook.ts";

export type JobHead = {
  id: JobId;
  tenant: string;
  task: Task;
  model: string;
  requestKey: string | null;
  /** Milliseconds since the epoch. */
  createdAt: number;
  rendering: Rendering;
  warnings: string[];
  /** Of its row, where it gets one. Absent: the id of its computation, or a fresh one. */
  keptId?: JobId;
};

export type RunRequest = {
  job: JobHead;
  /** A `JobMessage` as JSON, ready for the queue; unused where the job joins one in flight. */
  message: string;
  /** Size of `message` in UTF-8, or a bound above it. */
  messageBytes: number;
  /**
   * Keep a row from the start, also where the job ends with its call, or only once the caller has waited in vain.
   */
  keep: "from-start" | "while-held" | "if-it-outlasts";
  /** Null: the caller does not wait. */
  wait: {
    /** Names the waiting call, for `leave`. */
    waiter: string;
    milliseconds: number;
    /** How long the job lives on after the caller has left. */
    graceMilliseconds: number;
  } | null;
  webhook: Webhook | null;
};

/** Of a call that reads what happens as it does; how long it waits does not matter. */
export type StreamRequest = RunRequest & { wait: NonNullable<RunRequest["wait"]> };

export type RunOutcome =
  | { kind: "succeeded"; jobId: JobId; result: StoredResult }
  | { kind: "failed"; jobId: JobId; error: PublicError }
  /** Not finished; the job says where to come back. */
  | { kind: "waiting"; job: Job }
  /** The job's reservation is closed or about to be, and nothing was computed for this call: it needs another. */
  | { kind: "closed" }
  /** The waiter was told to leave; nobody reads this. */
  | { kind: "left" };

/** `units`: tokens that the end asks to be charged. */
export type ShardEvent = { jobId: JobId; sequence: number } & (
  | { kind: "started" }
  | ({ kind: "progress" } & JobProgress)
  | ({ kind: "tokens" } & Pick<TokensEvent, "pieces" | "model" | "modelDigest">)
  | { kind: "succeeded"; units: number; result: StoredResult }
  | { kind: "failed"; units: number; error: PublicError }
  | { kind: "cancelled"; units: number }
);

export type InterimEvent = Extract<ShardEvent, { kind: "started" | "progress" | "tokens" }>;

/** After it others follow. */
export function isInterim(event: ShardEvent): event is InterimEvent {
  return event.kind === "started" || event.kind === "progress" || event.kind === "tokens";
}

export type ReceiveRequest = { events: ShardEvent[]; inFlight: JobId[] };

/** A stream that is opened, or opened again. */
export type ReadRequest = {
  id: JobId;
  tenant: string;
  /** Names the reading call, for `leave`. */
  waiter: string;
  graceMilliseconds: number;
  /** Number of the last event that the reader has; 0: it has none. */
  after: number;
  /** In the words of the call that the job was kept for, not as a job. */
  asCalled?: true;
};

/** What the shard's `fetch` is asked, as JSON. A stream answers, or a `RunOutcome`; null where there is no such job. */
export type StreamCall = { run: StreamRequest } | { read: ReadRequest };

/** What is to be done about an event. */
export type Verdict = {
  /** Somebody wants the result, or may: the shard does not know what it forgot. */
  wanted: boolean;
  /** Tokens to settle the job at; null: it goes on. */
  units: number | null;
};

export type ReceiveResponse = {
  /** Jobs the worker should give up. */
  cancelled: JobId[];
  /** One per event, in order. */
  verdicts: Verdict[];
};

/** A job whose result was in the cache, kept for whoever comes back for it. */
export type KeepRequest = Pick<RunRequest, "job" | "webhook"> & { result: StoredResult };

/** A call that came to nothing on our side. */
export type AbandonRequest = { id: JobId; tenant: string; waiter: string };
