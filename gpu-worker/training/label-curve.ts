/**
 * How the same training does with fewer of its examples, where it is not clearly better than the base with all of them:
 * what tells about how many more would do (evaluation/labels-needed.ts). Each size is a run of its own, judged alike.
 */
import { rm } from "node:fs/promises";
import path from "node:path";
import type { SizePoint } from "#contract/training/evaluation-report.ts";
import type { HeldOut } from "../evaluation/held-out.ts";
import { tunedScore } from "../evaluation/make-report.ts";
import { sampleOf } from "./batches.ts";
import { Divergence } from "./run-training.ts";
import { picked } from "./served-rows.ts";
import type { EncodedData } from "./training-task.ts";

/** Of the examples. The training itself is the fourth point, and a curve takes four. */
const shares = [1 / 8, 1 / 4, 1 / 2];
/** Of the smallest run. */
const rowsMin = 16;

export type SmallerRun = {
  /** Rows that are trained with, by their indices. */
  readonly examples: readonly number[];
  /** A folder of its own. */
  readonly out: string;
  readonly maxSeconds: number;
};

export type LabelCurve = {
  /** Examples that were trained with, and the rows that were made of them. */
  readonly labels: number;
  readonly rows: number;
  /** That it took. */
  readonly seconds: number;
  /** Trains with these alone, and answers what is held out. @throws the signal's reason; Divergence */
  readonly trainWith: (run: SmallerRun) => Promise<HeldOut>;
};

export type SmallerEnd = SizePoint & { readonly metric: string; readonly seconds: number };

type Bounds = {
  /** For what the runs write. */
  readonly folder: string;
  readonly seed: number;
  /** Of the training and all runs of fewer examples. */
  readonly maxSeconds: number;
  readonly now: () => number;
  readonly onSmaller: (end: SmallerEnd) => void;
};

/**
 * Nothing where there are too few examples, or too few seconds are left, before or between the runs.
 * @param heldOut what was answered after all examples
 * @throws the signal's reason
 */
export async function measureLabelCurve(
  { labels, rows, seconds, trainWith }: LabelCurve,
  heldOut: HeldOut,
  { folder, seed, maxSeconds, now, onSmaller }: Bounds,
): Promise<SizePoint[]> {
  const begunAt = now();
  const left = () => maxSeconds - seconds - (now() - begunAt) / 1000;
  const { value: whole } = tunedScore(heldOut);
  if (Math.floor(rows * Math.min(...shares)) < rowsMin || whole === null) return [];
  const points: SizePoint[] = [];
  for (const [at, share] of shares.entries()) {
    const needed = seconds * shares.slice(at).reduce((sum, each) => sum + each, 0);
    if (needed > left()) return [];
    const size = Math.floor(rows * share);
    const out = path.join(folder, `rows-${size}`);
    await rm(out, { recursive: true, force: true });
    const before = now();
    const run = { examples: sampleOf(rows, size, seed), out, maxSeconds: left() };
    const score = await scoreOf(trainWith(run));
    if (score === null || score.value === null) return [];
    const point = { labels: Math.round((labels * size) / rows), score: score.value };
    onSmaller({ ...point, metric: score.name, seconds: (now() - before) / 1000 });
    points.push(point);
  }
  return [...points, { labels, score: whole }];
}

/** Null: it came to nothing. */
async function scoreOf(end: Promise<HeldOut>): Promise<ReturnType<typeof tunedScore> | null> {
  try {
    return tunedScore(await end);
  } catch (error) {
    if (error instanceof Divergence) return null;
    throw error;
  }
}

/** Of these examples alone. */
export function ofExamples(
  { rows, data }: EncodedData["training"],
  examples: readonly number[],
): EncodedData["training"] {
  return {
    rows: picked(rows, examples),
    data: {
      ...data,
      feeds: (indices, longest, draw) => data.feeds(picked(examples, indices), longest, draw),
      ...(data.rowsOf !== undefined && {
        rowsOf: (indices, draw) => data.rowsOf?.(picked(examples, indices), draw) ?? [],
      }),
    },
  };
}
