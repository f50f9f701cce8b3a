/** What is told of training files before anything is trained: of each by itself, and of both together. */
import * as z from "zod";
import { Container } from "./container.ts";
import { FormName, TrainingTask } from "./forms.ts";
import { trainingLimits } from "./limits.ts";
import { Problem, ProblemCode } from "./problems.ts";

const { problemsListedMax, repeatsListedMax, labelsMax, ignoredFieldsMax } = trainingLimits;
const count = z.int().nonnegative();
const line = z.int().positive();

/** An example whose text an earlier one has: the line of each. */
export const Repeat = z.object({ line, first_line: line });
export type Repeat = z.infer<typeof Repeat>;

export const Repeats = z.object({
  /** Examples that repeat the text of an earlier one, and say the same of it. */
  duplicates: count,
  /** And that say something else of it. Never of forms in which a text may have several answers. */
  conflicts: count,
  first_duplicates: z.array(Repeat).max(repeatsListedMax),
  first_conflicts: z.array(Repeat).max(repeatsListedMax),
});
export type Repeats = z.infer<typeof Repeats>;

export const LabelCount = z.object({ label: z.string(), examples: count });
export type LabelCount = z.infer<typeof LabelCount>;

export const LengthHistogram = z.object({
  unit: z.enum(["characters", "tokens"]),
  min: count,
  median: count,
  p95: count,
  max: count,
  mean: z.number().nonnegative(),
  /** How many examples are longer than the bucket before, and at most so long. The last is for all that are longer. */
  buckets: z.array(z.object({ up_to: count.nullable(), examples: count })),
  /** What a model reads at once. Null: no model was named. */
  model_reads: count.nullable(),
  /** Examples that the model cannot read whole. */
  too_long: count,
});
export type LengthHistogram = z.infer<typeof LengthHistogram>;

export const FileReport = z.object({
  container: Container.nullable(),
  form: FormName.nullable(),
  /** What such a file is trained for. */
  task: TrainingTask.nullable(),
  bytes: count,
  /** Good ones. */
  examples: count,
  /** Examples that cannot be used, whatever number of problems each has. */
  bad_examples: count,
  /** The first of them, by line; those of the file as a whole come first. */
  problems: z.array(Problem).max(problemsListedMax),
  /** All of them, those that are not listed included. */
  problem_counts: z.partialRecord(ProblemCode, count),
  repeats: Repeats,
  /** The commonest first; for spans and tags, entities. Null: the form has none. */
  labels: z.array(LabelCount).max(labelsMax).nullable(),
  /** Null: there is no good example. */
  characters: LengthHistogram.nullable(),
  /** Null: no model was named, too. */
  tokens: LengthHistogram.nullable(),
  /** Fields that are no part of the form and were not read, and in how many examples they stand. */
  ignored_fields: z.array(z.object({ name: z.string(), examples: count })).max(ignoredFieldsMax),
  /** What is no fault and yet worth knowing. */
  notices: z.array(z.string()),
});
export type FileReport = z.infer<typeof FileReport>;

/** Texts of the validation file that the training file has too, so that figures would flatter. */
export const Leakage = z.object({
  examples: count,
  /** Of these, with something else said of them. */
  conflicts: count,
  /** `line` of the validation file, `first_line` of the training file. */
  first: z.array(Repeat).max(repeatsListedMax),
});
export type Leakage = z.infer<typeof Leakage>;

export const TrainingEstimate = z.object({
  seconds: z.number().nonnegative(),
  /** A unit is a token, as everywhere. */
  units: count,
});
export type TrainingEstimate = z.infer<typeof TrainingEstimate>;

export const DataReport = z.object({
  training: FileReport,
  validation: FileReport.nullable(),
  /** Null: there is no validation file. */
  leakage: Leakage.nullable(),
  /** Of a dry run with a model. */
  estimate: TrainingEstimate.optional(),
});
export type DataReport = z.infer<typeof DataReport>;

/** Whether anything is wrong: then no job starts that was not told to leave bad examples out. */
export function hasProblems({ training, validation }: DataReport): boolean {
  return [training, validation].some((file) => (file?.problems.length ?? 0) > 0);
}
