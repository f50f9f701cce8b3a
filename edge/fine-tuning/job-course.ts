/**
 * How a tuning job moves: a row for each thing that can happen, which says what it makes of the job, or that it cannot
 * happen now. Pure; the time is an argument. One job of a key runs at a time: the message of a job is sent when its
 * turn has come, and its place is taken until no worker has it any more.
 */
import { errorTable, type PublicError } from "#contract/errors.ts";
import {
  leaseNumbers,
  type TuningOutcome,
  type TuningResultFile,
} from "#contract/training/tuning-job.ts";
import type { TunedModel } from "#contract/training/tuned-model.ts";

export type TuningStatus =
  | "validating_files"
  | "queued"
  | "running"
  | "paused"
  | "succeeded"
  | "failed"
  | "cancelled";

/** Beside the one that runs. */
export const waitingMax = 3;
const { lapseSeconds, attemptsMax } = leaseNumbers;

/** All times are milliseconds since the epoch. */
export type Lease = {
  id: string;
  worker: string;
  heardAt: number;
  /** Number of the last event that was heard under it. */
  sequence: number;
  /** It has reported. */
  spoken: boolean;
};

/** What a worker made, until it is served or thrown away. */
export type Made = { model: TunedModel; resultFiles: TuningResultFile[]; at: number };

export type Course = {
  status: TuningStatus;
  /** Of the worker that has it, or was told to give it up and has not said yet that it did. */
  lease: Lease | null;
  /** The last lease that its worker ended: it may say so again. */
  endedLease: string | null;
  /** Leases that lapsed. */
  lapses: number;
  /** When its message is sent, or sent again; null: it is not its turn, or a worker has it. */
  sendAt: number | null;
  /** What its worker is told. */
  wish: "cancel" | "pause" | null;
  made: Made | null;
  /** A worker had it, and may have stored something. */
  hasObjects: boolean;
  error: PublicError | null;
  finishedAt: number | null;
  /** Of training, as workers said. */
  seconds: number;
  /** What was reserved for it is settled. */
  settled: boolean;
};

export type CourseChange =
  | { kind: "validated" }
  /** It cannot be trained, or what was made cannot be served. */
  | { kind: "failed"; error: PublicError }
  | { kind: "turn" }
  | { kind: "sending"; againAt: number }
  | { kind: "claimed"; lease: string; worker: string }
  | { kind: "heard"; sequence: number; seconds: number | null }
  | { kind: "ended"; outcome: TuningOutcome }
  | { kind: "lapsed" }
  | { kind: "cancel" }
  | { kind: "pause" }
  | { kind: "resume" }
  | { kind: "served" }
  /** Nothing is left of what was made. */
  | { kind: "discarded" };

export const newCourse: Course = {
  status: "validating_files",
  lease: null,
  endedLease: null,
  lapses: 0,
  sendAt: null,
  wish: null,
  made: null,
  hasObjects: false,
  error: null,
  finishedAt: null,
  seconds: 0,
  settled: false,
};

export function isOver({ status }: Pick<Course, "status">): boolean {
  return status === "succeeded" || status === "failed" || status === "cancelled";
}

/** It came to nothing, and what workers stored of it is to be deleted. */
export function isToBeDiscarded(course: Course): boolean {
  const { status, lease, hasObjects } = course;
  return isOver(course) && status !== "succeeded" && lease === null && hasObjects;
}

/** Nothing is to be done about it any more. */
export function isAtRest(course: Course): boolean {
  return isOver(course) && course.lease === null && !isToBeDiscarded(course);
}

/** Takes the place of the one job that runs. */
function holdsPlace({ status, lease, sendAt }: Course): boolean {
  return lease !== null || sendAt !== null || status === "running";
}

/** Whether there is room for one more. */
export function hasRoom(courses: readonly Course[]): boolean {
  const open = courses.filter((each) => !isOver(each));
  const counted = open.filter(({ status, lease }) => status !== "paused" || lease !== null);
  return counted.length <= waitingMax;
}

/** @param courses the oldest first @returns whose message is to be sent now; -1: nobody's */
export function whoseTurn(courses: readonly Course[]): number {
  if (courses.some(holdsPlace)) return -1;
  return courses.findIndex(({ status }) => status === "queued");
}

/** When its lease lapses; null: there is none. */
export function lapsesAt({ lease }: Course): number | null {
  return lease === null ? null : lease.heardAt + 1_000 * lapseSeconds;
}

/** Of training, to be charged: no more than were reserved. What failed on our side costs nothing. */
export function secondsCharged({ seconds, error }: Course, reserved: number): number {
  if (error !== null && errorTable[error.code].status >= 500) return 0;
  return Math.min(reserved, Math.ceil(seconds));
}

const workerLost: PublicError = {
  code: "worker_lost",
  message: `${attemptsMax} workers that trained this job were lost. Create it again.`,
  param: null,
};

type Rule<K> = (
  course: Course,
  change: Extract<CourseChange, { kind: K }>,
  now: number,
) => Partial<Course> | null;

const rules: { readonly [K in CourseChange["kind"]]: Rule<K> } = {
  validated: ({ status }) => (status === "validating_files" ? { status: "queued" } : null),
  failed: (course, { error }, now) =>
    isOver(course) || course.lease !== null ? null : { ...failed(error, now), sendAt: null },
  turn: ({ status, lease, sendAt }, _, now) =>
    status === "queued" && lease === null && sendAt === null ? { sendAt: now } : null,
  sending: ({ sendAt }, { againAt }) => (sendAt === null ? null : { sendAt: againAt }),
  claimed: ({ sendAt }, { lease: id, worker }, now) =>
    sendAt === null
      ? null
      : {
          status: "running",
          sendAt: null,
          wish: null,
          hasObjects: true,
          lease: { id, worker, heardAt: now, sequence: 0, spoken: false },
        },
  heard: ({ lease, seconds: before }, { sequence, seconds }, now) =>
    lease === null
      ? null
      : { lease: { ...lease, heardAt: now, sequence, spoken: true }, seconds: seconds ?? before },
  ended: (course, { outcome }, now) =>
    course.lease === null
      ? null
      : {
          ...afterOutcome(course, outcome, now),
          lease: null,
          endedLease: course.lease.id,
          wish: null,
        },
  lapsed: (course, _, now) =>
    course.lease === null
      ? null
      : { ...afterLapse(course, now), lease: null, endedLease: null, wish: null },
  cancel: (course, _, now) =>
    isOver(course)
      ? null
      : {
          status: "cancelled",
          finishedAt: now,
          sendAt: null,
          wish: course.lease === null ? null : "cancel",
        },
  pause: ({ status, made, lease }) =>
    status === "queued" || (status === "running" && made === null)
      ? { status: "paused", sendAt: null, wish: lease === null ? null : "pause" }
      : null,
  resume: ({ status }) => (status === "paused" ? { status: "queued" } : null),
  served: ({ status, made }, _, now) =>
    status === "running" && made !== null
      ? { status: "succeeded", made: null, finishedAt: now }
      : null,
  discarded: (course) => (isToBeDiscarded(course) ? { made: null, hasObjects: false } : null),
};

function failed(error: PublicError, now: number): Partial<Course> {
  return { status: "failed", error, finishedAt: now };
}

function afterOutcome(course: Course, outcome: TuningOutcome, now: number): Partial<Course> {
  const { status } = course;
  if (outcome.kind === "succeeded") {
    const { model, resultFiles } = outcome;
    const made = { model, resultFiles, at: now };
    // Of a cancelled job it is thrown away; a paused one was at its end before its worker heard of the pause.
    return isOver(course) ? { made } : { made, status: "running" };
  }
  if (isOver(course)) return {};
  switch (outcome.kind) {
    case "failed":
      return failed(outcome.error, now);
    case "cancelled":
      return { status: "cancelled", finishedAt: now };
    case "paused":
      return status === "running" ? { status: "paused" } : {};
    case "lost":
      return afterLapse(course, now);
    case "released":
      return status === "running" ? { status: "queued", sendAt: now } : {};
  }
}

/** A worker that was to give it up anyhow has done so, and is not counted. */
function afterLapse({ status, lapses }: Course, now: number): Partial<Course> {
  if (status !== "running") return {};
  const after = { lapses: lapses + 1 };
  return after.lapses >= attemptsMax
    ? { ...after, ...failed(workerLost, now) }
    : { ...after, status: "queued", sendAt: now };
}

/** @returns null where that cannot happen to it now */
export function moved(course: Course, change: CourseChange, now: number): Course | null {
  // The row of a kind takes changes of that kind.
  const rule = rules[change.kind] as Rule<CourseChange["kind"]>;
  const changed = rule(course, change, now);
  if (changed === null) return null;
  const next = { ...course, ...changed };
  return { ...next, settled: course.settled || (isOver(next) && next.lease === null) };
}
