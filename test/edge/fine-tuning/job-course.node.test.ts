/** The moves of tuning jobs: whatever happens in whatever order, what is promised of them holds. */
import { describe, expect, it } from "vitest";
import type { PublicError } from "../../../contract/errors.ts";
import { leaseNumbers, type TuningOutcome } from "../../../contract/training/tuning-job.ts";
import {
  type Course,
  type CourseChange,
  hasRoom,
  isAtRest,
  isOver,
  isToBeDiscarded,
  moved,
  newCourse,
  secondsCharged,
  type TuningStatus,
  waitingMax,
  whoseTurn,
} from "../../../edge/fine-tuning/job-course.ts";
import { randomFrom } from "../../random-from.ts";
import { tunedModel } from "./tuned-model-sample.ts";

const error: PublicError = { code: "invalid_value", message: "no", param: null };

/** From a status, those that may be seen next. */
const mayFollow: Record<TuningStatus, readonly TuningStatus[]> = {
  validating_files: ["queued", "failed", "cancelled"],
  queued: ["running", "paused", "failed", "cancelled"],
  running: ["queued", "paused", "succeeded", "failed", "cancelled"],
  // The worker may have come to an end before it heard of the pause.
  paused: ["queued", "running", "failed", "cancelled"],
  succeeded: [],
  failed: [],
  cancelled: [],
};

const outcomes: readonly TuningOutcome[] = [
  { kind: "succeeded", model: tunedModel(), resultFiles: [] },
  { kind: "failed", error },
  { kind: "cancelled" },
  { kind: "paused" },
  { kind: "released" },
];

const kinds: readonly CourseChange["kind"][] = [
  "validated",
  "failed",
  "turn",
  "sending",
  "claimed",
  "heard",
  "ended",
  "lapsed",
  "cancel",
  "pause",
  "resume",
  "served",
  "discarded",
];

function changeOf(kind: CourseChange["kind"], below: (count: number) => number): CourseChange {
  switch (kind) {
    case "failed":
      return { kind, error };
    case "sending":
      return { kind, againAt: below(1_000) };
    case "claimed":
      return { kind, lease: `lease-${below(1e6)}`, worker: "worker" };
    case "heard":
      return { kind, sequence: below(10), seconds: below(2) === 0 ? null : below(100) };
    case "ended":
      return { kind, outcome: outcomes[below(outcomes.length)] ?? { kind: "released" } };
    default:
      return { kind } as CourseChange;
  }
}

/** The jobs of a key, as its object drives them, and how often each was settled. */
class Board {
  courses: Course[] = [];
  settled: number[] = [];
  /** What of the promises did not hold. */
  broken: string[] = [];

  step(below: (count: number) => number, now: number): void {
    if (below(6) === 0) return this.create();
    const turn = whoseTurn(this.courses);
    if (turn !== -1 && below(2) === 0) return void this.move(turn, { kind: "turn" }, now);
    const at = this.#some(below);
    const change = changeOf(kinds[below(kinds.length)] ?? "turn", below);
    // Which the object asks before.
    if (change.kind === "turn" && at !== turn) return;
    if (change.kind === "resume" && !this.hasRoomBeside(at)) return;
    this.move(at, change, now);
  }

  /** One of the last: most of the others are at rest. */
  #some(below: (count: number) => number): number {
    const count = below(8) === 0 ? this.courses.length : Math.min(8, this.courses.length);
    return this.courses.length - 1 - below(Math.max(1, count));
  }

  create(): void {
    if (!hasRoom(this.courses)) return;
    this.courses.push(newCourse);
    this.settled.push(0);
  }

  hasRoomBeside(at: number): boolean {
    return hasRoom(this.courses.filter((_, index) => index !== at));
  }

  move(at: number, change: CourseChange, now: number): void {
    const before = this.courses[at];
    const after = before === undefined ? null : moved(before, change, now);
    if (before === undefined || after === null) return;
    this.courses[at] = after;
    const follows =
      after.status === before.status || mayFollow[before.status].includes(after.status);
    this.#promise(follows, `${before.status} became ${after.status}`);
    if (after.settled && !before.settled) this.settled[at] = (this.settled[at] ?? 0) + 1;
    this.#promise(after.settled || !before.settled, "what was settled is open again");
  }

  check(): void {
    const of = (...statuses: TuningStatus[]) =>
      this.courses.filter(({ status }) => statuses.includes(status)).length;
    this.#promise(of("running") <= 1, "two run");
    const open = of("running", "queued", "validating_files");
    this.#promise(open <= 1 + waitingMax, "too many wait");
    const placed = this.courses.filter(({ lease, sendAt }) => lease !== null || sendAt !== null);
    this.#promise(placed.length <= 1, "two have the place of the one that runs");
    this.courses.forEach((course, at) => this.#checkOne(course, this.settled[at] ?? 0));
  }

  #checkOne(course: Course, settled: number): void {
    const { status, lease, made, error: reason, finishedAt, sendAt } = course;
    const ended = isOver(course);
    this.#promise(
      settled === (ended && lease === null ? 1 : 0),
      `${status} is settled ${settled}×`,
    );
    this.#promise((reason !== null) === (status === "failed"), `${status} with an error`);
    this.#promise((finishedAt !== null) === ended, `${status} at ${finishedAt}`);
    this.#promise(status !== "running" || lease !== null || made !== null, "nobody runs it");
    this.#promise(
      status !== "succeeded" || (course.hasObjects && made === null),
      "nothing is served",
    );
    this.#promise(!isAtRest(course) || sendAt === null, "is sent for at rest");
  }

  #promise(holds: boolean, broken: string): void {
    if (!holds) this.broken.push(broken);
  }

  /** What remains is brought to its end, as by a worker that succeeds. */
  finish(now: number): void {
    for (let rounds = 0; rounds < 200 && !this.courses.every(isAtRest); rounds += 1) {
      const turn = whoseTurn(this.courses);
      if (turn !== -1) this.move(turn, { kind: "turn" }, now);
      for (let at = 0; at < this.courses.length; at += 1) {
        const course = this.courses[at];
        if (course !== undefined) this.move(at, nextOf(course), now);
      }
      this.check();
    }
  }
}

function nextOf(course: Course): CourseChange {
  if (isToBeDiscarded(course)) return { kind: "discarded" };
  if (course.made !== null) return { kind: "served" };
  if (course.lease !== null && course.wish !== null) return { kind: "lapsed" };
  if (course.lease !== null) return { kind: "ended", outcome: outcomes[0] ?? { kind: "released" } };
  if (course.status === "validating_files") return { kind: "validated" };
  if (course.sendAt !== null) return { kind: "claimed", lease: "last", worker: "worker" };
  return { kind: course.status === "paused" ? "cancel" : "heard", sequence: 0, seconds: null };
}

describe("whatever happens", () => {
  it.each(Array.from({ length: 30 }, (_, seed) => seed))("the promises hold (seed %i)", (seed) => {
    const below = randomFrom(seed + 1);
    const board = new Board();
    for (let now = 1; now <= 1_000; now += 1) {
      board.step(below, now);
      board.check();
    }
    board.finish(1_000);
    expect(board.broken).toEqual([]);
    expect(board.courses.length).toBeGreaterThan(20);
    expect(board.courses.filter((course) => !isAtRest(course))).toEqual([]);
    expect(new Set(board.settled)).toEqual(new Set([1]));
  });
});

/** @throws where one of the changes cannot happen */
function courseAfter(...changes: CourseChange[]): Course {
  return changes.reduce<Course>((course, change) => {
    const next = moved(course, change, 1_000);
    if (next === null) throw new Error(`${change.kind} cannot happen to ${course.status}`);
    return next;
  }, newCourse);
}

const claimed: CourseChange[] = [
  { kind: "validated" },
  { kind: "turn" },
  { kind: "claimed", lease: "one", worker: "worker" },
];

describe("a job", () => {
  it("whose workers are lost too often has failed, and costs nothing", () => {
    const lost = Array.from({ length: leaseNumbers.attemptsMax }, () => [
      ...claimed.slice(2),
      { kind: "heard", sequence: 1, seconds: 40 } as const,
      { kind: "lapsed" } as const,
    ]).flat();
    const course = courseAfter(...claimed.slice(0, 2), ...lost);
    expect(course).toMatchObject({ status: "failed", error: { code: "worker_lost" } });
    expect(secondsCharged(course, 900)).toBe(0);
  });

  it("that is handed back counts no attempt", () => {
    const back = [...claimed.slice(2), { kind: "ended", outcome: { kind: "released" } } as const];
    const course = courseAfter(...claimed.slice(0, 2), ...back, ...back, ...back, ...back);
    expect(course).toMatchObject({ status: "queued", lapses: 0, sendAt: 1_000 });
  });

  it("that fails by its own fault is charged what it took, and no more than was reserved", () => {
    const heard = { kind: "heard", sequence: 1, seconds: 40.2 } as const;
    const course = courseAfter(...claimed, heard, {
      kind: "ended",
      outcome: { kind: "failed", error },
    });
    expect(secondsCharged(course, 900)).toBe(41);
    expect(secondsCharged(course, 30)).toBe(30);
  });

  it("that is cancelled in training is settled when its worker has heard", () => {
    const course = courseAfter(...claimed, { kind: "cancel" });
    expect(course).toMatchObject({ status: "cancelled", wish: "cancel", settled: false });
    expect(whoseTurn([course, courseAfter({ kind: "validated" })])).toBe(-1);
    const ended = moved(course, { kind: "ended", outcome: { kind: "cancelled" } }, 2_000);
    expect(ended).toMatchObject({ settled: true, lease: null, finishedAt: 1_000 });
  });

  it("that is cancelled at its end leaves nothing to serve", () => {
    const [succeeded] = outcomes;
    if (succeeded === undefined) throw new Error("no outcome");
    const course = courseAfter(
      ...claimed,
      { kind: "cancel" },
      { kind: "ended", outcome: succeeded },
    );
    expect(course).toMatchObject({ status: "cancelled", settled: true });
    expect(course.made).not.toBeNull();
    expect(moved(course, { kind: "served" }, 1)).toBeNull();
    expect(moved(course, { kind: "discarded" }, 1)).toMatchObject({ made: null });
  });
});
