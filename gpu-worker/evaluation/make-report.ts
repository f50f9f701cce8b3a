/**
 * The report of a fine-tune from held-out rows and what its training left behind. Pure: the same input makes the same
 * report. What comes out is within the contract's bounds, whatever went in.
 */
import {
  type Comparison,
  type MetricsStep,
  reportBounds,
  TrainingReport,
} from "#contract/training/evaluation-report.ts";
import { boundLabel, boundText } from "./bound-texts.ts";
import { boundConfusion } from "./confusion-matrix.ts";
import { boundTable } from "./bound-table.ts";
import type { HeldOut } from "./held-out.ts";
import { learningCurve } from "./labels-needed.ts";
import { mcnemar } from "./mcnemar.ts";
import { measure } from "./measure.ts";
import { tokenAccuracy } from "./measure-numbers.ts";
import type { Measured, PairedMetric } from "./measured.ts";
import { requireFiniteSteps } from "./metrics-csv.ts";
import { type BootstrapOptions, defaultBootstrap, pairedBootstrap } from "./paired-bootstrap.ts";
import { worstRegressions } from "./regressions.ts";
import { requireFinite, requireSameLength } from "./require.ts";
import { eachOnce } from "./row-counts.ts";
import { decide } from "./verdict.ts";

type Stated =
  | "task"
  | "base_model"
  | "tuned_model"
  | "base_kind"
  | "form"
  | "unserved"
  | "training_rows";

export type ReportInput = Pick<TrainingReport, Stated | "stopped" | "latency" | "size"> & {
  heldOut: HeldOut;
  /** What the first metric must reach; null: better than the base is enough. */
  target: number | null;
  steps: readonly MetricsStep[];
  /** The first metric after training on so many labels, each a run of its own or a checkpoint of the first pass. */
  sizes: TrainingReport["learning_curve"]["sizes"];
  bootstrap?: BootstrapOptions;
};

/** Throws a RangeError by name where a score is not finite, or lists of rows differ in length. */
export function makeReport(input: ReportInput): TrainingReport {
  const { heldOut, steps } = input;
  const sizes = thinned(input.sizes, reportBounds.curvePointsMax);
  requireFiniteSteps(steps);
  requireRows(heldOut);
  const measured = measure(heldOut);
  const comparisons = measured.metrics.map((metric) =>
    compare(metric, measured.rows, input.bootstrap ?? defaultBootstrap(measured.rows)),
  );
  const test = measured.rightOrWrong ? testOf(measured) : null;
  const [first] = comparisons;
  if (first === undefined) throw new Error(`${heldOut.kind} has no metric`);
  const facts = {
    comparison: first,
    heldOutRows: measured.rows,
    mcnemar: test,
    target: input.target,
    sizes,
  };
  return TrainingReport.parse({
    version: 1,
    task: input.task,
    base_model: boundLabel(input.base_model),
    tuned_model: input.tuned_model === null ? null : boundLabel(input.tuned_model),
    base_kind: input.base_kind,
    form: input.form,
    unserved: input.unserved === null ? null : boundText(input.unserved),
    held_out_rows: measured.rows,
    training_rows: input.training_rows,
    verdict: decide(facts),
    stopped: { reason: input.stopped.reason, detail: boundText(input.stopped.detail) },
    comparisons,
    mcnemar: test,
    tables: measured.tables.map(boundTable),
    confusion: measured.confusion === null ? null : boundConfusion(measured.confusion),
    regressions: worstRegressions(measured, heldOut.texts),
    learning_curve: {
      steps: thinned(steps, reportBounds.curvePointsMax),
      sizes,
      fit: learningCurve(sizes, first.better),
    },
    latency: input.latency,
    size: input.size,
  } satisfies TrainingReport);
}

export type TunedScore = Pick<PairedMetric, "name" | "better"> & {
  /** Null where it is not defined. */
  readonly value: number | null;
  /** Of answers where the verdict goes by that, or of tokens; null: neither is measured. */
  readonly accuracy: number | null;
};

/** What the verdict will go by, of the tuned system. */
export function tunedScore(heldOut: HeldOut): TunedScore {
  const { rows, metrics } = measure(heldOut);
  const [first] = metrics;
  if (first === undefined) throw new Error(`${heldOut.kind} has no metric`);
  const valueOf = ({ tuned }: PairedMetric) => finiteOrNull(tuned(eachOnce(rows)));
  const { name, better } = first;
  const shares = name === "accuracy" ? first : metrics.find((each) => each.name === tokenAccuracy);
  return { name, better, value: valueOf(first), accuracy: shares ? valueOf(shares) : null };
}

function requireRows(heldOut: HeldOut): void {
  if (heldOut.kind === "texts") return requireSameLength(heldOut.texts, heldOut.tokens);
  if (heldOut.kind === "ranks") return;
  requireSameLength(heldOut.expected, heldOut.texts);
  for (const system of ["base", "tuned"] as const)
    requireFinite(heldOut[system].confidences ?? [], `${system}.confidences`);
}

function compare(metric: PairedMetric, rows: number, options: BootstrapOptions): Comparison {
  const once = eachOnce(rows);
  return {
    metric: metric.name,
    better: metric.better,
    base: finiteOrNull(metric.base(once)),
    tuned: finiteOrNull(metric.tuned(once)),
    interval: pairedBootstrap(metric, rows, options),
  };
}

function finiteOrNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

function testOf({ outcomes }: Measured): TrainingReport["mcnemar"] {
  const right = outcomes.map((each) => [each.baseScore === 1, each.tunedScore === 1] as const);
  return mcnemar(
    right.filter(([base, tuned]) => base && !tuned).length,
    right.filter(([base, tuned]) => tuned && !base).length,
  );
}

/** Evenly so many of them, the first and the last among them. */
function thinned<T>(values: readonly T[], most: number): T[] {
  if (values.length <= most) return [...values];
  const step = (values.length - 1) / (most - 1);
  return Array.from({ length: most }, (_, at) => values[Math.round(at * step)]).filter(
    (value) => value !== undefined,
  );
}
