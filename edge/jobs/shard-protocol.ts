/**
 * What the stateless edge and a job shard say to each other. Plain data that RPC copies cheaply: messages and results
 * travel as JSON text that nobody in between parses.
 */
import type { PublicError } from "#contract/errors.ts";
import type { JobId } from "#contract/job-id.ts";
import type { ObjectReference } from "#contract/object-reference.ts";
import type { Task } from "#contract/tasks.ts";
import type { Webhook } from "../webhooks/webhook.ts";
import type { Rendering } from "./job-spec.ts";

/** A `JobResult` as JSON, or where it lies in object storage. */
export type StoredResult =
  | { kind: "inline"; json: string }
  | { kind: "reference"; reference: ObjectReference };

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
};

export type RunRequest = {
  job: JobHead;
  /** A `JobMessage` as JSON, ready for the queue; unused where the job joins one in flight. */
  message: string;
  /** Size of `message` in UTF-8, or a bound above it. */
  messageBytes: number;
  /** Keep a row from the start, or only once the caller has waited in vain. */
  keep: "from-start" | "if-it-outlasts";
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

export type JobStatus = "starting" | "processing" | "succeeded" | "failed" | "canceled";

/** A job as whoever comes back for it sees it. */
export type Ticket = {
  id: JobId;
  status: JobStatus;
  task: Task;
  model: string;
  rendering: Rendering;
  warnings: string[];
  /** Milliseconds since the epoch. */
  createdAt: number;
  finishedAt: number | null;
  result: StoredResult | null;
  error: PublicError | null;
};

export type RunOutcome =
  | { kind: "succeeded"; jobId: JobId; result: StoredResult }
  | { kind: "failed"; jobId: JobId; error: PublicError }
  /** Not finished; the ticket says where to come back. */
  | { kind: "waiting"; ticket: Ticket }
  /** The job's id is that of a computation which has ended: its reservation holds no other. */
  | { kind: "ended" }
  /** The waiter was told to leave; nobody reads this. */
  | { kind: "left" };

export type ShardEvent = { jobId: JobId; sequence: number } & (
  | { kind: "started" }
  | { kind: "progress" }
  | { kind: "succeeded"; result: StoredResult }
  | { kind: "failed"; error: PublicError }
);

export type ReceiveRequest = { events: ShardEvent[]; inFlight: JobId[] };

export type ReceiveResponse = {
  /** Jobs the worker should give up. */
  cancelled: JobId[];
  /** Succeeded jobs whose result somebody got or can come back for. */
  delivered: JobId[];
};
