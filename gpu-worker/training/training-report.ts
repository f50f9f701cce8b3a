/**
 * The end of a tuning: the model's files, then how good they are as they are served, and the report of it. Where they
 * cannot be served here the report is of the model as it was trained, and says why.
 */
import { rm } from "node:fs/promises";
import path from "node:path";
import { CodedError } from "#contract/errors.ts";
import type { SizePoint, TrainingReport } from "#contract/training/evaluation-report.ts";
import { makeReport } from "../evaluation/make-report.ts";
import { writeAtomically } from "../files/write-atomically.ts";
import { elementCount } from "../tensor/shape.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { measureLabelCurve } from "./label-curve.ts";
import type { LabelCurve, SmallerEnd } from "./label-curve.ts";
import { measureServed } from "./measure-served.ts";
import type { Measurement, OpenServed, ServedFigures } from "./measure-served.ts";
import { stateFolderOf } from "./train-in-folder.ts";
import type { TrainingEnd } from "./run-training.ts";
import type { JudgedPart } from "./training-task.ts";
import { writeReport } from "./write-report.ts";

export type ReportFacts = Pick<TrainingReport, "task" | "base_model" | "size" | "stopped"> & {
  readonly tuned_model: string;
  /** That were trained with. */
  readonly examples: number;
  readonly steps: TrainingEnd["progress"]["metrics"];
};

export type Finishing<Part extends JudgedPart> = {
  readonly facts: ReportFacts;
  /** As it was trained. */
  readonly trained: Pick<ServedFigures, "heldOut" | "base_kind">;
  readonly measurement: Measurement<Part>;
  readonly cardOf: (report: TrainingReport) => string;
  readonly curve: LabelCurve;
  /** Writes the model's folder with its card. */
  readonly write: (card: string) => Promise<void>;
};

export type FinishingRun = {
  readonly out: string;
  /** Null: nothing serves it here. */
  readonly serve: OpenServed | null;
  readonly maxSeconds: number;
  readonly seed: number;
  readonly now: () => number;
  readonly onUnserved: (why: string, error: unknown) => void;
  /** It was trained with fewer examples. */
  readonly onSmaller: (end: SmallerEnd) => void;
  readonly signal: AbortSignal;
};

/** Of the seconds of a training, beside them: for its measurement. */
const measuringShare = 0.1;
/** Loading a model takes so long, however short its training. */
const measuringSecondsMin = 60;

/** @throws the signal's reason */
export async function finishTuning<Part extends JudgedPart>(
  { facts, trained, measurement, curve, cardOf, write }: Finishing<Part>,
  run: FinishingRun,
): Promise<TrainingReport> {
  const reportOf = (figures: Figures, sizes: readonly SizePoint[] = []) =>
    reportFrom(facts, figures, sizes);
  const asTrained = { ...trained, form: "f32", latency: { base: null, tuned: null } };
  await write(cardOf(reportOf({ ...asTrained, unserved: null })));
  const served = await servedOr(measurement, run);
  const figures =
    "unserved" in served
      ? { ...asTrained, unserved: served.unserved }
      : { ...served, unserved: null };
  const alone = reportOf(figures);
  const isClear = alone.verdict.decision === "deploy";
  const folder = stateFolderOf(run.out);
  const sizes = isClear ? [] : await measureLabelCurve(curve, trained.heldOut, { ...run, folder });
  const report = sizes.length === 0 ? alone : reportOf(figures, sizes);
  await writeReport(run.out, report, facts.steps);
  await writeAtomically(path.join(run.out, "README.md"), cardOf(report));
  await rm(folder, { recursive: true, force: true });
  return report;
}

type Figures = ServedFigures & Pick<TrainingReport, "unserved">;

function reportFrom(
  { examples, ...facts }: ReportFacts,
  figures: Figures,
  sizes: readonly SizePoint[],
): TrainingReport {
  return makeReport({
    ...facts,
    ...figures,
    training_rows: examples,
    target: null,
    sizes: [...sizes],
  });
}

async function servedOr<Part extends JudgedPart>(
  measurement: Measurement<Part>,
  { out, serve, maxSeconds, seed, now, onUnserved, signal }: FinishingRun,
): Promise<ServedFigures | { readonly unserved: string }> {
  if (serve === null) return { unserved: "nothing here serves it" };
  const seconds = Math.max(measuringSecondsMin, maxSeconds * measuringShare);
  const deadline = AbortSignal.timeout(Math.ceil(seconds * 1000));
  const bounded = AbortSignal.any([signal, deadline]);
  const begun = now();
  try {
    const served = await serve(out, bounded);
    try {
      const left = Math.max(1, seconds - (now() - begun) / 1000);
      return await measureServed(measurement, served, {
        seconds: left,
        seed,
        now,
        signal: bounded,
      });
    } finally {
      await served.close();
    }
  } catch (error) {
    // Whatever keeps a model from being served does not take away what was trained.
    signal.throwIfAborted();
    const unserved = deadline.aborted
      ? `it took longer than ${Math.round(seconds)} seconds`
      : why(error);
    onUnserved(unserved, error);
    return { unserved };
  }
}

/** For whoever reads the report: of errors that are not made for callers nothing is told. */
function why(error: unknown): string {
  return error instanceof CodedError ? error.message : "it could not be loaded here";
}

/** As float32. */
export function bytesOf(weights: WeightSource, names: readonly string[]): number {
  const numbers = names.map((name) => elementCount(weights.entry(name)?.shape ?? []));
  return 4 * numbers.reduce((sum, count) => sum + count, 0);
}
