/** What is told of a computation while it runs, and the events that a reader is told it by. */
import type { PublicError } from "#contract/errors.ts";
import type { Piece } from "#contract/events.ts";
import type { JobId } from "#contract/job-id.ts";
import type { ResultHead } from "#contract/result-document.ts";
import type { JobProgress } from "./job.ts";

export type StreamHead = {
  jobId: JobId;
  /** Milliseconds since the epoch. */
  createdAt: number;
  /** The model's own id, and its digest (`system_fingerprint`). */
  model: string;
  modelDigest: string;
};

/** What is told of a computation, one after the other. */
export type StreamEntry =
  | { kind: "started" }
  | ({ kind: "progress" } & JobProgress)
  | { kind: "piece"; piece: Piece; made: Made; textSoFar: () => string }
  | { kind: "output"; result: ResultHead; index: number; output: string }
  | { kind: "end"; result: ResultHead }
  /**
   * `outcome`: of the job; absent: it is the stream that failed. `isLate`: what was told before is not known, and it
   * comes after that.
   */
  | { kind: "error"; error: PublicError; outcome?: "failed" | "canceled"; isLate?: boolean };
type Made = Pick<StreamHead, "model" | "modelDigest">;

/** A server-sent event: its name, absent for a plain one, and its data, which has no line break. */
export type SentEvent = { event?: string; data: string };

/** Tells one reader all entries of a log, in order. */
export type StreamTeller = {
  /** What comes before anything has happened. */
  begin: () => SentEvent[];
  tell: (entry: StreamEntry) => SentEvent[];
};
