/** What is told of training files before anything is trained: of each by itself, and of both together. */
import * as z from "zod";
import { Container } from "./container.ts";
import { FormName, TrainingTask } from "./forms.ts";
import { trainingLimits } from "./limits.ts";
import { Problem, ProblemCode } from "./problems.ts";

const { problemsListedMax, repeatsListedMax, labelsMax, ignoredFieldsMax } = trainingLimits;
const count = z.int().nonnegative();
const line = z.int().positive();

/** An example whose text an earlier one has. */
export const Repeat = z.object({
  line: line.describe("Of the example."),
  first_line: line.describe("Of the earlier one."),
});
export type Repeat = z.infer<typeof Repeat>;

export const Repeats = z.object({
  duplicates: count.describe(
    "Examples that repeat the text of an earlier one, and say the same of it.",
  ),
  conflicts: count.describe(
    "And that say something else of it. Never of forms in which a text may have several answers.",
  ),
  first_duplicates: z.array(Repeat).max(repeatsListedMax).describe("The first of the duplicates."),
  first_conflicts: z.array(Repeat).max(repeatsListedMax).describe("The first of the conflicts."),
});
export type Repeats = z.infer<typeof Repeats>;

export const LabelCount = z.object({
  label: z.string().describe("As the file has it."),
  examples: count.describe("That have it; of spans and tags, entities."),
});
export type LabelCount = z.infer<typeof LabelCount>;

export const LengthHistogram = z.object({
  unit: z.enum(["characters", "tokens"]).describe("What is counted."),
  min: count.describe("The shortest."),
  median: count.describe("Half are no longer."),
  p95: count.describe("Of a hundred, 95 are no longer."),
  max: count.describe("The longest."),
  mean: z.number().nonnegative().describe("The average."),
  buckets: z
    .array(
      z.object({
        up_to: count.nullable().describe("The longest of the bucket. Null: there is no end."),
        examples: count.describe("Those longer than the bucket before, and at most so long."),
      }),
    )
    .describe("How many examples have which length. The last is for all that are longer."),
  model_reads: count.nullable().describe("What a model reads at once. Null: no model was named."),
  too_long: count.describe("Examples that the model cannot read whole."),
});
export type LengthHistogram = z.infer<typeof LengthHistogram>;

export const FileReport = z.object({
  container: Container.nullable().describe(
    "How the file holds its examples. Null: none was found.",
  ),
  form: FormName.nullable().describe("What the examples are. Null: none was found."),
  task: TrainingTask.nullable().describe("What such a file is trained for."),
  bytes: count.describe("Size of the file."),
  examples: count.describe("Good ones."),
  bad_examples: count.describe(
    "Examples that cannot be used, whatever number of problems each has.",
  ),
  problems: z
    .array(Problem)
    .max(problemsListedMax)
    .describe("The first of them, by line; those of the file as a whole come first."),
  problem_counts: z
    .partialRecord(ProblemCode, count)
    .describe("All of them by code, those that are not listed included."),
  repeats: Repeats.describe("Texts that stand there more than once."),
  labels: z
    .array(LabelCount)
    .max(labelsMax)
    .nullable()
    .describe("The commonest first; for spans and tags, entities. Null: the form has none."),
  characters: LengthHistogram.nullable().describe("Lengths. Null: there is no good example."),
  tokens: LengthHistogram.nullable().describe("Lengths. Null: no model was named, too."),
  ignored_fields: z
    .array(
      z.object({
        name: z.string().describe("Of the field."),
        examples: count.describe("That have it."),
      }),
    )
    .max(ignoredFieldsMax)
    .describe("Fields that are no part of the form and were not read."),
  notices: z.array(z.string()).describe("What is no fault and yet worth knowing."),
});
export type FileReport = z.infer<typeof FileReport>;

/** Texts of the validation file that the training file has too, so that figures would flatter. */
export const Leakage = z.object({
  examples: count.describe("Validation examples whose text the training file has."),
  conflicts: count.describe("Of these, those of which the two files say something else."),
  first: z
    .array(Repeat)
    .max(repeatsListedMax)
    .describe("line of the validation file, first_line of the training file."),
});
export type Leakage = z.infer<typeof Leakage>;

export const DataReport = z.object({
  training: FileReport,
  validation: FileReport.nullable(),
  /** Null: there is no validation file. */
  leakage: Leakage.nullable(),
});
export type DataReport = z.infer<typeof DataReport>;

/** Whether anything is wrong: then no job starts that was not told to leave bad examples out. */
export function hasProblems({ training, validation }: DataReport): boolean {
  return [training, validation].some((file) => (file?.problems.length ?? 0) > 0);
}
