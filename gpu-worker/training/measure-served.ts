/**
 * How good a tuned model is as it is served: loaded as the service loads it, in the form that is fastest here within
 * its bound, and asked the held-out rows beside its base. What takes too long is measured on fewer of them.
 */
import type { Latency, TrainingReport } from "#contract/training/evaluation-report.ts";
import { baseScore, comparedWith } from "../evaluation/compare-bases.ts";
import type { HeldOut } from "../evaluation/held-out.ts";
import { summarizeLatency } from "../evaluation/summarize-latency.ts";
import type { ServedModel } from "../model/served-model.ts";
import { sampleOf } from "./batches.ts";
import type { ServedAnswers } from "./served-answers.ts";
import type { JudgedPart } from "./training-task.ts";

/** A model in service, and what its products are computed in. */
export type ServedForm = ServedModel & { readonly form: string };

export type Served = {
  readonly base: ServedForm;
  readonly tuned: ServedForm;
  close(): Promise<void>;
};

/** Loads the tuned model of a folder, and its base, as the service does. @throws Error that says why it cannot */
export type OpenServed = (folder: string, signal: AbortSignal) => Promise<Served>;

/** Held-out rows of a task, and who answers them. */
export type Measurement<Part extends JudgedPart> = {
  /** What the base said before it was tuned included, where it is compared with. */
  readonly part: Part;
  take(part: Part, examples: readonly number[]): Part;
  /** Null: the model has no answer to such rows. */
  answers(part: Part, model: ServedForm): ServedAnswers | null;
  /** The same rows, read by a model that need not answer them. */
  timed(part: Part, model: ServedForm): ServedAnswers | null;
  /** What else the base could be asked, each with what it is called. @throws as `answers` are */
  others(part: Part, served: Served, signal: AbortSignal): Promise<BaseAnswer[]>;
};

export type BaseAnswer = {
  readonly kind: TrainingReport["base_kind"];
  /** Its `tuned` is what the base says. */
  readonly heldOut: HeldOut;
};

export type ServedFigures = Pick<TrainingReport, "form" | "latency" | "base_kind"> & {
  readonly heldOut: HeldOut;
};

export type MeasureOptions = {
  /** That it may take, about. */
  readonly seconds: number;
  readonly seed: number;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  readonly signal: AbortSignal;
};

/** Rows that are timed one by one. */
const rowsTimed = 64;
/** Before they are timed: a session's first runs take longer. */
const rowsWarm = 3;
const timingShare = 0.2;
/** Of the seconds, for all rows: batches are faster than rows one by one. */
const judgingShare = 0.5;

/** @throws TuningError where the tuned model does not answer such rows; the signal's reason */
export async function measureServed<Part extends JudgedPart>(
  { part: whole, take, answers, timed, others }: Measurement<Part>,
  served: Served,
  options: MeasureOptions,
): Promise<ServedFigures> {
  const { seed, seconds, signal } = options;
  const both = { tuned: timed(whole, served.tuned), base: timed(whole, served.base) };
  const latency = await timeBoth(both, options);
  const { tokens } = required(answers(whole, served.tuned));
  const perRow = latency.secondsPerToken * (tokens.reduce((sum, count) => sum + count, 0) || 1);
  const fitting = Math.floor((whole.examples * seconds * judgingShare) / (2 * perRow));
  const examples = sampleOf(whole.examples, Math.max(1, fitting), seed);
  const part = take(whole, examples);
  const tuned = await required(answers(part, served.tuned)).all(signal);
  const { data, kind } = await comparedBase(part, { answers, served }, signal);
  const first: BaseAnswer = { kind, heldOut: await data.judge(tuned) };
  const candidates = [
    first,
    ...(await others(part, served, signal)).map((each) => ({
      kind: each.kind,
      heldOut: comparedWith(first.heldOut, each.heldOut),
    })),
  ];
  const best = candidates.reduce((a, b) => (baseScore(b.heldOut) > baseScore(a.heldOut) ? b : a));
  return {
    heldOut: best.heldOut,
    base_kind: best.kind,
    form: served.tuned.form,
    latency: latency.of,
  };
}

type Asking<Part extends JudgedPart> = Pick<Measurement<Part>, "answers"> & {
  readonly served: Served;
};

function required(answers: ServedAnswers | null): ServedAnswers {
  if (answers === null) throw new TypeError("a tuned model answers the rows it was tuned for");
  return answers;
}

/** As it is served where it answers such rows, else as it was before the training. */
async function comparedBase<Part extends JudgedPart>(
  part: Part,
  { answers, served }: Asking<Part>,
  signal: AbortSignal,
): Promise<Pick<JudgedPart, "data"> & Pick<BaseAnswer, "kind">> {
  if (part.against === undefined) return { data: part.data, kind: "majority" };
  const base = answers(part, served.base);
  const { data } = base === null ? part : part.against(await base.all(signal));
  return { data, kind: "base_model" };
}

/** Both by turns, so that a machine that slows down meets both. */
async function timeBoth(
  both: Record<"base" | "tuned", ServedAnswers | null>,
  { seed, seconds, now, signal }: MeasureOptions,
): Promise<{ readonly of: TrainingReport["latency"]; readonly secondsPerToken: number }> {
  const tuned = required(both.tuned);
  const { base } = both;
  const timed = sampleOf(tuned.tokens.length, rowsTimed, seed);
  const times: Record<"tuned" | "base", number[]> = { tuned: [], base: [] };
  const timeOne = async (system: ServedAnswers, row: number): Promise<number> => {
    const from = now();
    await system.one(row, signal);
    return now() - from;
  };
  for (let at = 0; at < rowsWarm; at += 1) {
    const row = timed[at % timed.length] ?? 0;
    await tuned.one(row, signal);
    await base?.one(row, signal);
  }
  const until = now() + seconds * timingShare * 1000;
  let tokens = 0;
  for (const row of timed) {
    if (times.tuned.length > 0 && now() > until) break;
    times.tuned.push(await timeOne(tuned, row));
    tokens += tuned.tokens[row] ?? 0;
    if (base !== null) times.base.push(await timeOne(base, row));
  }
  const total = times.tuned.reduce((sum, each) => sum + each, 0) / 1000;
  const of: Record<"base" | "tuned", Latency | null> = {
    base: summarizeLatency(times.base),
    tuned: summarizeLatency(times.tuned),
  };
  return { of, secondsPerToken: total / Math.max(1, tokens) };
}
