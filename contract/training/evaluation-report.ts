/**
 * The report of a fine-tune, as its file `report.json` holds it: the base against the tuned model on rows that neither
 * has seen. Bounded whatever the data: of many classes and rows those are kept that matter, and totals say how many
 * there were.
 */
import * as z from "zod";

export const reportBounds = {
  /** Of a table of classes. */
  classRowsMax: 200,
  /** Of the confusion matrix; all others are one row and column. */
  confusionClassesMax: 24,
  regressionsMax: 20,
  /** In UTF-16 units: class names, and texts of rows. */
  labelCharactersMax: 120,
  textCharactersMax: 400,
  /** Steps of the learning curve; metrics.csv has all. */
  curvePointsMax: 400,
  reasonsMax: 12,
  reasonCharactersMax: 500,
} as const;

const Label = z.string().max(reportBounds.labelCharactersMax);
const Shown = z.string().max(reportBounds.textCharactersMax);
const Count = z.int().nonnegative();

export const AverageRow = z.object({
  precision: z.number(),
  recall: z.number(),
  f1: z.number(),
  /** Rows, tokens or entities that are of the class. */
  support: Count,
});
export type AverageRow = z.infer<typeof AverageRow>;

export const ClassRow = AverageRow.extend({ label: Label });
export type ClassRow = z.infer<typeof ClassRow>;

/** What is counted: rows, tokens, or whole entities (as seqeval does by default, and in strict IOB2). */
export const TableLevel = z.enum([
  "row",
  "token",
  "token_without_outside",
  "entity",
  "entity_strict",
]);
export type TableLevel = z.infer<typeof TableLevel>;

/** scikit-learn's classification report. */
export const ClassificationTable = z.object({
  level: TableLevel,
  system: z.enum(["base", "tuned"]),
  /** All, or of too many the worst and the largest, in the table's own order. */
  classes: z.array(ClassRow).max(reportBounds.classRowsMax),
  classes_total: Count,
  /** Null where it is no share of right rows: of several labels each, of entities, or with classes left out. */
  accuracy: z.number().nullable(),
  micro: AverageRow,
  macro: AverageRow,
  weighted: AverageRow,
  /** The mean over rows; of rows with several labels each alone. */
  samples: AverageRow.nullable(),
});
export type ClassificationTable = z.infer<typeof ClassificationTable>;

/** Percentile interval of the difference tuned − base under resampled rows (paired bootstrap). */
export const BootstrapInterval = z.object({
  low: z.number(),
  high: z.number(),
  /** 0.95: in 95 of 100 draws the difference lies between. */
  level: z.number().gt(0).lt(1),
  draws: z.int().positive(),
  seed: z.int(),
});
export type BootstrapInterval = z.infer<typeof BootstrapInterval>;

export const Comparison = z.object({
  metric: z.string().max(60),
  better: z.enum(["higher", "lower"]),
  /** Null where it is not defined: no rows, or a correlation with a constant. */
  base: z.number().nullable(),
  tuned: z.number().nullable(),
  interval: BootstrapInterval.nullable(),
});
export type Comparison = z.infer<typeof Comparison>;

export const McNemar = z.object({
  /** Rows that the base alone has right, and that the tuned model alone has. */
  only_base: Count,
  only_tuned: Count,
  method: z.enum(["exact", "chi_squared"]),
  statistic: z.number(),
  p: z.number().min(0).max(1),
});
export type McNemar = z.infer<typeof McNemar>;

/** Of the tuned model. `cells[i]` = [expected class, predicted class, rows], by `labels`; zeros are left out. */
export const ConfusionMatrix = z.object({
  labels: z.array(Label).max(reportBounds.confusionClassesMax + 1),
  /** True: the last label stands for all classes that are not named. */
  others: z.boolean(),
  classes_total: Count,
  cells: z.array(z.tuple([Count, Count, Count])).max((reportBounds.confusionClassesMax + 1) ** 2),
});
export type ConfusionMatrix = z.infer<typeof ConfusionMatrix>;

/** A row that the tuned model does worse than the base. */
export const Regression = z.object({
  row: Count,
  text: Shown,
  expected: Shown,
  base: Shown,
  tuned: Shown,
  /** What each scored on it, the higher the better. */
  base_score: z.number(),
  tuned_score: z.number(),
});
export type Regression = z.infer<typeof Regression>;

/** A step of training, by OpenAI's column names. Null: not measured at this step. */
export const MetricsStep = z.object({
  step: Count,
  train_loss: z.number().nullable(),
  train_accuracy: z.number().nullable(),
  valid_loss: z.number().nullable(),
  valid_mean_token_accuracy: z.number().nullable(),
});
export type MetricsStep = z.infer<typeof MetricsStep>;

/** error(labels) = scale · labels^−exponent + floor */
export const PowerLaw = z.object({
  scale: z.number(),
  exponent: z.number(),
  floor: z.number(),
  /** Of the errors around the curve. */
  root_mean_square: z.number(),
});
export type PowerLaw = z.infer<typeof PowerLaw>;

export const SizePoint = z.object({ labels: z.int().positive(), score: z.number() });
export type SizePoint = z.infer<typeof SizePoint>;

export const Verdict = z.object({
  decision: z.enum(["deploy", "no_gain", "more_labels"]),
  /** About so many beyond those it was trained on; null where that is not known, or not the question. */
  more_labels: z.int().positive().nullable(),
  /** In words, the weightiest first. */
  reasons: z
    .array(z.string().max(reportBounds.reasonCharactersMax))
    .min(1)
    .max(reportBounds.reasonsMax),
});
export type Verdict = z.infer<typeof Verdict>;

export const StopReason = z.enum([
  "completed",
  "early_stopping",
  "time_limit",
  "cancelled",
  "diverged",
]);
export type StopReason = z.infer<typeof StopReason>;

/** Of one row at a time, unless said otherwise by who measured it. */
export const Latency = z.object({
  p50_ms: z.number().nonnegative(),
  p95_ms: z.number().nonnegative(),
});
export type Latency = z.infer<typeof Latency>;

export const TrainingReport = z.object({
  version: z.literal(1),
  task: z.string().max(60),
  base_model: Label,
  /** Null: nothing is served, as of a run that was cancelled. */
  tuned_model: Label.nullable(),
  /** What the tuned model is compared with: a guess without training, the commonest class, or the model itself. */
  base_kind: z.enum(["zero_shot", "majority", "base_model"]),
  /** The form both were measured in: the one that serves, but for what `unserved` says. */
  form: z.string().max(20),
  /** Why they were not measured as they are served, but as they were trained; null: they were as served. */
  unserved: Shown.nullable().default(null),
  held_out_rows: Count,
  training_rows: Count,
  verdict: Verdict,
  stopped: z.object({ reason: StopReason, detail: Shown }),
  /** The first is what the verdict goes by. */
  comparisons: z.array(Comparison).min(1).max(10),
  mcnemar: McNemar.nullable(),
  tables: z.array(ClassificationTable).max(8),
  confusion: ConfusionMatrix.nullable(),
  regressions: z.object({
    total: Count,
    worst: z.array(Regression).max(reportBounds.regressionsMax),
  }),
  learning_curve: z.object({
    steps: z.array(MetricsStep).max(reportBounds.curvePointsMax),
    sizes: z.array(SizePoint).max(reportBounds.curvePointsMax),
    fit: PowerLaw.nullable(),
  }),
  latency: z.object({ base: Latency.nullable(), tuned: Latency.nullable() }),
  size: z.object({ base_bytes: Count.nullable(), tuned_bytes: Count.nullable() }),
});
export type TrainingReport = z.infer<typeof TrainingReport>;
