/** Where the events of a job are found: in a computation that goes on, in one that ended of late, or in its result. */
import type { JobId } from "#contract/job-id.ts";
import type { Job } from "../answers/job.ts";
import type { Rendering } from "../answers/rendering.ts";
import type { Computation, ComputationTable } from "./computation-table.ts";
import { endedLog, type EventLog } from "./event-log.ts";
import type { EventLogs } from "./event-logs.ts";
import type { Outcome } from "./job-rows.ts";
import type { KeptJobs } from "./kept-jobs.ts";

export type OpenLog = {
  kind: "log";
  log: EventLog;
  /** That of the computation, unless a job of its own was kept for the caller. */
  jobId: JobId;
  /** Milliseconds since the epoch. */
  createdAt: number;
  rendering: Rendering;
  /** Null: it has ended. */
  computation: Computation | null;
};

type Places = { jobs: KeptJobs; computations: ComputationTable; logs: EventLogs };

/** A call that kept no job has no rendering here any more. */
const bare: Rendering = { route: "tasks" };

/** @param id of a job, or of a computation that has none @returns null where the tenant has no such job */
export function findLog(id: JobId, tenant: string, places: Places): OpenLog | null {
  const stored = places.jobs.find(id, tenant);
  const job = stored?.job;
  const computationId = stored?.computationId ?? id;
  const { createdAt = 0, rendering = bare } = job ?? {};
  const found = { kind: "log", jobId: id, createdAt, rendering, computation: null } as const;
  const computation = places.computations.find(computationId);
  const isOpen = job === undefined || job.finishedAt === null;
  if (isOpen && computation?.tenant === tenant) {
    return { ...found, log: computation.log, createdAt: computation.openedAt, computation };
  }
  const told = job?.told ?? null;
  if (job?.status === "canceled") return { ...found, log: endedLog({ status: "canceled" }, told) };
  const ended = places.logs.find(computationId, tenant);
  const isWhole = ended?.log.firstId === 1 || told === null;
  if (ended !== undefined && isWhole) {
    return { ...found, log: ended.log, createdAt: ended.createdAt };
  }
  const end = job === undefined ? null : endOf(job);
  return end === null ? null : { ...found, log: endedLog(end, told) };
}

function endOf({ result, error }: Job): Outcome | null {
  if (result !== null) return { status: "succeeded", result };
  return error === null ? null : { status: "failed", error };
}
