/** Figures of classes: one each, any number each, and of tags. */
import { classCounts, labelSetCounts } from "./class-counts.ts";
import { type Average, f1Metric } from "./classification-report.ts";
import { confusionCounts } from "./confusion-matrix.ts";
import type { ClassRows, LabelSetRows, Predictions, TagRows } from "./held-out.ts";
import { type Measured, paired, type PairedMetric, type RowOutcome, tablesOf } from "./measured.ts";
import { meanMetric } from "./number-metrics.ts";
import { type RowCounts, sortedLabels } from "./row-counts.ts";
import { entityCounts, tokenCounts } from "./tag-counts.ts";

type Both<T> = { base: T; tuned: T };

export function measureClasses(rows: ClassRows): Measured {
  const { expected, base, tuned, ignoredLabel } = rows;
  const both = eachSystem(rows, ({ values }) => {
    const present = sortedLabels([...expected, ...values]);
    return classCounts(
      expected,
      values,
      present.filter((label) => label !== ignoredLabel),
    );
  });
  const right = eachSystem(rows, ({ values }) =>
    expected.map((label, row) => Number(label === values[row])),
  );
  const accuracy = paired(
    "accuracy",
    "higher",
    eachOf(right, (scores) => meanMetric(scores, "accuracy")),
  );
  const macro = f1("macro_f1", both, "macro");
  return {
    rows: expected.length,
    metrics:
      ignoredLabel === undefined
        ? [accuracy, macro, f1("weighted_f1", both, "weighted")]
        : [macro, accuracy],
    tables: tablesOf("row", both),
    confusion: confusionCounts(expected, tuned.values),
    rightOrWrong: true,
    outcomes: outcomesOf(right, tuned),
    show: (row) => ({
      expected: expected[row] ?? "",
      base: base.values[row] ?? "",
      tuned: tuned.values[row] ?? "",
    }),
  };
}

export function measureLabelSets(rows: LabelSetRows): Measured {
  const { expected, labels } = rows;
  const both = eachSystem(rows, ({ values }) => labelSetCounts(expected, values, labels));
  const right = eachSystem(rows, ({ values }) =>
    expected.map((set, row) => Number(sameSet(set, values[row] ?? []))),
  );
  return {
    rows: expected.length,
    metrics: [
      f1("micro_f1", both, "micro"),
      f1("macro_f1", both, "macro"),
      paired(
        "all_labels_right",
        "higher",
        eachOf(right, (each) => meanMetric(each, "all labels right")),
      ),
    ],
    tables: tablesOf("row", both, { severalLabels: true }),
    confusion: null,
    rightOrWrong: true,
    outcomes: outcomesOf(right, rows.tuned),
    show: showLists(rows, ", "),
  };
}

export function measureTags(rows: TagRows): Measured {
  const { expected, tuned } = rows;
  const levels = {
    entity: eachSystem(rows, ({ values }) => entityCounts(expected, values, "default")),
    entity_strict: eachSystem(rows, ({ values }) => entityCounts(expected, values, "strict")),
    token: eachSystem(rows, ({ values }) => tokenCounts(expected, values, { withOutside: true })),
    token_without_outside: eachSystem(rows, ({ values }) =>
      tokenCounts(expected, values, { withOutside: false }),
    ),
  };
  const right = eachSystem(rows, ({ values }) =>
    expected.map((tags, row) => Number(tags.every((tag, at) => tag === values[row]?.[at]))),
  );
  return {
    rows: expected.length,
    metrics: [
      f1("entity_f1", levels.entity, "micro"),
      f1("entity_strict_f1", levels.entity_strict, "micro"),
      f1("token_accuracy", levels.token, "micro"),
      f1("token_macro_f1", levels.token, "macro"),
      f1("token_f1_without_outside", levels.token_without_outside, "micro"),
    ],
    tables: (Object.keys(levels) as (keyof typeof levels)[]).flatMap((level) =>
      tablesOf(level, levels[level]),
    ),
    confusion: confusionCounts(expected.flat(), tuned.values.flat()),
    rightOrWrong: true,
    outcomes: outcomesOf(right, tuned),
    show: showLists(rows, " "),
  };
}

function eachSystem<T, V>(rows: Both<Predictions<T>>, read: (said: Predictions<T>) => V): Both<V> {
  return eachOf({ base: rows.base, tuned: rows.tuned }, read);
}

function eachOf<T, V>({ base, tuned }: Both<T>, read: (value: T) => V): Both<V> {
  return { base: read(base), tuned: read(tuned) };
}

function f1(name: string, counts: Both<RowCounts>, average: Average): PairedMetric {
  return paired(
    name,
    "higher",
    eachOf(counts, (each) => f1Metric(each, average)),
  );
}

function outcomesOf(right: Both<number[]>, tuned: Predictions<unknown>): RowOutcome[] {
  return right.tuned.map((tunedScore, row) => ({
    baseScore: right.base[row] ?? 0,
    tunedScore,
    confidence: tuned.confidences?.[row] ?? 0,
  }));
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  const [first, second] = [new Set(a), new Set(b)];
  return first.size === second.size && [...first].every((label) => second.has(label));
}

function showLists(
  { expected, base, tuned }: LabelSetRows | TagRows,
  between: string,
): Measured["show"] {
  return (row) => ({
    expected: (expected[row] ?? []).join(between),
    base: (base.values[row] ?? []).join(between),
    tuned: (tuned.values[row] ?? []).join(between),
  });
}
