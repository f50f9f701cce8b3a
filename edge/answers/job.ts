/** A caller's unit of long work, as whoever comes back for it sees it. */
import type { PublicError } from "#contract/errors.ts";
import type { JobId } from "#contract/job-id.ts";
import type { Task } from "#contract/tasks.ts";
import type { StoredResult } from "../storage/stored-result.ts";
import type { Rendering } from "./rendering.ts";
import type { Told } from "./told-pieces.ts";

export type JobStatus = "starting" | "processing" | "succeeded" | "failed" | "canceled";

/** In rows that models read: texts, or windows and pairs of them. */
export type JobProgress = { completed: number; total: number };

export type Job = {
  id: JobId;
  status: JobStatus;
  task: Task;
  model: string;
  rendering: Rendering;
  warnings: string[];
  /** Milliseconds since the epoch. */
  createdAt: number;
  finishedAt: number | null;
  /** While it is computed, as a worker last said; null: none has, or it has ended. Never written to a row. */
  progress: JobProgress | null;
  result: StoredResult | null;
  error: PublicError | null;
  /** How its events were told; null: it goes on, or that is not known. */
  told: Told | null;
};
