/**
 * What a tuning job would do and cost, found out without one: its files as a worker reads them, the split, the settings
 * that it would train with, and what it would take.
 */
import * as z from "zod";
import { ErrorCode } from "../errors.ts";
import { FileReport, Leakage } from "./report.ts";
import { TuningStrategy } from "./tuning-options.ts";

export const tuningPlanBounds = {
  /** Of a file, what is tokenised, and what the settings are chosen by; all of it is judged. */
  sampleBytesMax: 2 * 1024 * 1024,
  /** It is given up after so long. */
  secondsMax: 300,
  warningsMax: 50,
} as const;

const count = z.int().nonnegative();

const Split = z.object({
  training_examples: count.describe("Examples that would be trained with."),
  held_out_examples: count.describe("Examples that would be held out to choose and judge by."),
});

const Settings = z.object({
  strategy: TuningStrategy.exclude(["auto"]).describe("What would be trained."),
  layers: z
    .int()
    .positive()
    .nullable()
    .describe("Layers that top-k would train. Null: it is another."),
  lora: z
    .object({
      rank: z.int().positive().describe("Of the adapters' matrices."),
      alpha: z.number().positive().describe("Their scale is alpha / rank."),
    })
    .nullable()
    .describe("Of the strategy lora. Null: it is another."),
  virtual_tokens: z
    .int()
    .positive()
    .nullable()
    .describe("Of the strategy soft-prompt. Null: it is another."),
  n_epochs: z.int().positive().describe("How often all examples would be gone through."),
  batch_size: z.int().positive().describe("Examples of a step."),
  learning_rate: z.number().positive().describe("The highest learning rate."),
  label_smoothing: z
    .number()
    .nonnegative()
    .describe("What is wanted of all classes alike. 0: nothing, or there are none."),
  steps: z.int().positive().describe("All steps. Of head, which takes none, it means nothing."),
});

const Estimate = z.object({
  seconds: z.number().nonnegative().describe("Of training, about, with nothing else running."),
  units: count.describe("Tokens that would be learnt from, in all epochs."),
  memory_bytes: count.describe("The most memory that it would take at once, about."),
  memory_available_bytes: count.describe("What there is where this was found out."),
  examples_measured: count.describe(
    "Examples whose lengths these figures go by: all, or as many as stand at the beginning of a large file.",
  ),
});

export const TuningPlan = z.object({
  training: FileReport.describe("What is in the training file."),
  validation: FileReport.nullable().describe("And in the validation file. Null: there is none."),
  leakage: Leakage.nullable().describe(
    "Texts that stand in both files, so that figures would flatter. Null: there is no validation file.",
  ),
  split: Split.nullable().describe("How examples would be parted. Null: a job would fail before."),
  settings: Settings.nullable().describe(
    "What would be trained with, what is auto chosen. Null: a job would fail before.",
  ),
  estimate: Estimate.nullable().describe("What it would take. Null: a job would fail before."),
  error: z
    .object({
      code: ErrorCode.describe("For programs."),
      message: z.string().describe("For people."),
      param: z.string().nullable().describe("The field at fault: often training_file."),
    })
    .nullable()
    .describe("Why a job would fail. Null: nothing is in its way."),
  warnings: z
    .array(z.string())
    .max(tuningPlanBounds.warningsMax)
    .describe("What is worth knowing before it is trained, in words."),
});
export type TuningPlan = z.infer<typeof TuningPlan>;
