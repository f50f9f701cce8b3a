/** What a kind of task makes of held-out rows: the same for all kinds, so that one report is written of it. */
import type { ClassificationTable, TableLevel } from "#contract/training/evaluation-report.ts";
import { type ClassificationReport, classificationReport } from "./classification-report.ts";
import type { ConfusionCounts } from "./confusion-matrix.ts";
import type { RowCounts, RowMetric } from "./row-counts.ts";

export type PairedMetric = {
  name: string;
  better: "higher" | "lower";
  base: RowMetric;
  tuned: RowMetric;
};

export type MeasuredTable = {
  level: TableLevel;
  system: ClassificationTable["system"];
  report: ClassificationReport;
};

export type RowOutcome = {
  /** Higher is better; 1 is wholly right where rows can be right. */
  baseScore: number;
  tunedScore: number;
  /** Of the tuned system, 0 … 1. */
  confidence: number;
};

export type Measured = {
  rows: number;
  /** The first is what the verdict goes by. */
  metrics: PairedMetric[];
  tables: MeasuredTable[];
  confusion: ConfusionCounts | null;
  /** Whether a score of 1 says that a row is right, which McNemar's test counts. */
  rightOrWrong: boolean;
  outcomes: RowOutcome[];
  /** A row's answers in words. */
  show: (row: number) => { expected: string; base: string; tuned: string };
};

/** Both systems' counts as the tables of one level. */
export function tablesOf(
  level: TableLevel,
  counts: { base: RowCounts; tuned: RowCounts },
  options: { severalLabels?: boolean } = {},
): MeasuredTable[] {
  return (["base", "tuned"] as const).map((system) => ({
    level,
    system,
    report: classificationReport(counts[system], options),
  }));
}

/** A metric of both systems. */
export function paired(
  name: string,
  better: PairedMetric["better"],
  metrics: { base: RowMetric; tuned: RowMetric },
): PairedMetric {
  return { name, better, ...metrics };
}
