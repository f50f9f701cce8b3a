/**
 * Precision, recall, F1 and support by class with their averages, as scikit-learn's `classification_report` with
 * `zero_division=0` has them: a share of nothing is 0.
 */
import type { AverageRow } from "#contract/training/evaluation-report.ts";
import { sum } from "../tensor/vectors.ts";
import { eachOnce, type RowCounts, type RowMetric, type RowWeights } from "./row-counts.ts";

export type LabelledRow = AverageRow & { label: string };

export type ClassificationReport = {
  /** In the order of the counts' labels. */
  classes: LabelledRow[];
  /** Share of right rows; null where not every row has one class, or classes are left out. */
  accuracy: number | null;
  micro: AverageRow;
  macro: AverageRow;
  /** By support. */
  weighted: AverageRow;
  /** Mean over rows; null where every row has one class. */
  samples: AverageRow | null;
};

export type Average = "micro" | "macro" | "weighted";

type ReportOptions = {
  /** Rows may have several labels each, so that a mean over rows says something of its own. */
  severalLabels?: boolean;
};

export function classificationReport(
  counts: RowCounts,
  { severalLabels = false }: ReportOptions = {},
): ClassificationReport {
  const totals = totalsOf(counts, eachOnce(counts.rows));
  const classes = counts.labels.map((label, at) => ({
    label,
    ...scores(totals.hits[at] ?? 0, totals.predicted[at] ?? 0, totals.support[at] ?? 0),
  }));
  const micro = averages.micro(totals);
  return {
    classes,
    accuracy: counts.oneClassEach && counts.rows > 0 ? micro.f1 : null,
    micro,
    macro: averages.macro(totals),
    weighted: averages.weighted(totals),
    samples: severalLabels ? meanOverRows(counts) : null,
  };
}

/** The F1 of weighted rows. */
export function f1Metric(counts: RowCounts, average: Average): RowMetric {
  const read = averages[average];
  return (weights) => (counts.rows === 0 ? Number.NaN : read(totalsOf(counts, weights)).f1);
}

/** [classes] each. */
type Totals = { hits: Float64Array; predicted: Float64Array; support: Float64Array };

function totalsOf(counts: RowCounts, weights: RowWeights): Totals {
  const size = counts.labels.length;
  const hits = new Float64Array(size);
  const predicted = new Float64Array(size);
  const support = new Float64Array(size);
  for (let row = 0; row < counts.rows; row += 1) {
    const weight = weights[row] ?? 0;
    if (weight === 0) continue;
    const end = counts.offsets[row + 1] ?? 0;
    for (let at = counts.offsets[row] ?? 0; at < end; at += 1) {
      const index = counts.classes[at] ?? 0;
      hits[index] = (hits[index] ?? 0) + weight * (counts.hits[at] ?? 0);
      predicted[index] = (predicted[index] ?? 0) + weight * (counts.predicted[at] ?? 0);
      support[index] = (support[index] ?? 0) + weight * (counts.support[at] ?? 0);
    }
  }
  return { hits, predicted, support };
}

function scores(hits: number, predicted: number, support: number): AverageRow {
  return {
    precision: ratio(hits, predicted),
    recall: ratio(hits, support),
    f1: ratio(2 * hits, predicted + support),
    support,
  };
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

const averages: Readonly<Record<Average, (totals: Totals) => AverageRow>> = {
  micro: ({ hits, predicted, support }) => scores(sum(hits), sum(predicted), sum(support)),
  macro: (totals) => weightedMean(totals, () => 1),
  weighted: (totals) => weightedMean(totals, (support) => support),
};

function weightedMean(totals: Totals, weightOf: (support: number) => number): AverageRow {
  const mean = { precision: 0, recall: 0, f1: 0, support: 0 };
  let weights = 0;
  for (const [at, support] of totals.support.entries()) {
    const row = scores(totals.hits[at] ?? 0, totals.predicted[at] ?? 0, support);
    const weight = weightOf(support);
    mean.precision += weight * row.precision;
    mean.recall += weight * row.recall;
    mean.f1 += weight * row.f1;
    mean.support += support;
    weights += weight;
  }
  return {
    precision: ratio(mean.precision, weights),
    recall: ratio(mean.recall, weights),
    f1: ratio(mean.f1, weights),
    support: mean.support,
  };
}

function meanOverRows(counts: RowCounts): AverageRow {
  const sums = { precision: 0, recall: 0, f1: 0, support: 0 };
  for (let row = 0; row < counts.rows; row += 1) {
    const [start = 0, end = 0] = [counts.offsets[row], counts.offsets[row + 1]];
    const each = scores(
      sum(counts.hits.subarray(start, end)),
      sum(counts.predicted.subarray(start, end)),
      sum(counts.support.subarray(start, end)),
    );
    sums.precision += each.precision;
    sums.recall += each.recall;
    sums.f1 += each.f1;
    sums.support += each.support;
  }
  return {
    precision: ratio(sums.precision, counts.rows),
    recall: ratio(sums.recall, counts.rows),
    f1: ratio(sums.f1, counts.rows),
    support: sums.support,
  };
}
