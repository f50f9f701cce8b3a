/** A tuning job as OpenAI words it, with our own fields beside theirs. */
import * as z from "zod";
import { TrainingTask } from "#contract/training/forms.ts";
import { TuningJobId } from "#contract/training/tuning-job.ts";
import { TuningStrategy } from "#contract/training/tuning-options.ts";
import { isOver, type TuningStatus } from "./job-course.ts";
import type { TuningJob } from "./tuning-job.ts";

/** OpenAI's schema has no other. */
const shownStatuses = [
  "validating_files",
  "queued",
  "running",
  "succeeded",
  "failed",
  "cancelled",
] as const satisfies readonly TuningStatus[];

const auto = z.literal("auto");

export const ShownHyperparameters = z.object({
  n_epochs: z.union([auto, z.int()]).describe("How often all examples are gone through."),
  batch_size: z.union([auto, z.int()]).describe("Examples of a step."),
  learning_rate_multiplier: z
    .union([auto, z.number()])
    .describe("Of the learning rate that is chosen."),
});

export const ShownMethod = z.object({
  type: z.literal("supervised").describe("By examples with their answers."),
  supervised: z
    .object({ hyperparameters: ShownHyperparameters.describe("How it is trained.") })
    .describe("Its settings."),
});

const ShownLora = z.object({
  rank: z.int().describe("Of the adapters' matrices."),
  alpha: z.number().describe("Their scale is alpha / rank."),
});

const ShownSoftPrompt = z.object({
  virtual_tokens: z.int().describe("Tokens that are learnt, and put before each text."),
  initial_text: z
    .string()
    .nullable()
    .describe("What they begin as. Null: words drawn by the seed."),
});

const ShownStopping = z.object({
  patience: z.int().describe("Evaluations that may bring nothing before it stops."),
  threshold: z.number().describe("What counts as better is better by more than this."),
});

const seconds = z.int().describe("Unix time in seconds.");

export const TuningError = z.object({
  code: z.string().describe("For programs."),
  message: z.string().describe("For people."),
  param: z.string().nullable().describe("The field at fault: often training_file."),
});

export const TuningProgressObject = z.object({
  step: z.int().describe("Steps that are done."),
  steps: z.int().describe("All steps."),
  seconds: z.number().describe("Of training so far."),
  seconds_left: z
    .number()
    .nullable()
    .describe("To its end, about. Null: not known, or it has ended."),
});

export const TuningJobObject = z.object({
  object: z.literal("fine_tuning.job").describe("What this is."),
  id: TuningJobId.describe("What it is asked for by."),
  model: z.string().describe("Id of the model that it starts from."),
  created_at: seconds,
  finished_at: seconds.nullable().describe("When it ended, in Unix seconds. Null: it has not."),
  estimated_finish: seconds
    .nullable()
    .describe("Unix seconds. Null: it does not run, or nobody knows."),
  fine_tuned_model: z
    .string()
    .nullable()
    .describe("The name to call it by. Null: there is none yet."),
  organization_id: z.string().describe("Whose it is."),
  status: z
    .enum(shownStatuses)
    .describe("How it stands. A paused one is queued until it is resumed."),
  paused: z.boolean().describe("Whether it is paused: it waits for nothing but to be resumed."),
  error: TuningError.nullable().describe("Why it failed. Null: it did not."),
  training_file: z.string().describe("Id of a file."),
  validation_file: z
    .string()
    .nullable()
    .describe("Id of a file. Null: part of the other is held out."),
  result_files: z.array(z.string()).describe("Ids of files: metrics and reports."),
  trained_tokens: z
    .int()
    .nullable()
    .describe("Tokens that it learnt from. Null: it has not ended."),
  hyperparameters: ShownHyperparameters.describe("As asked for."),
  method: ShownMethod.describe("As asked for."),
  integrations: z.array(z.unknown()).describe("Always none."),
  seed: z.int().describe("Of the split, the order and the new layers."),
  suffix: z.string().nullable().describe("Part of the tuned model's name."),
  metadata: z.record(z.string(), z.string()).nullable().describe("As it was given."),
  task: TrainingTask.nullable().describe("What it is trained for. Null: its file is not read yet."),
  strategy: TuningStrategy.describe("What is trained."),
  layers: z.int().nullable().describe("Layers that top-k trains. Null: as usual."),
  learning_rate: z.number().nullable().describe("The highest learning rate. Null: chosen."),
  label_smoothing: z
    .number()
    .nullable()
    .describe("Of what is wanted, spread over all classes. Null: as usual."),
  lora: ShownLora.nullable().describe("Of the strategy lora. Null: as usual."),
  soft_prompt: ShownSoftPrompt.nullable().describe("Of the strategy soft-prompt. Null: as usual."),
  early_stopping: ShownStopping.nullable().describe("When it ends early. Null: as usual."),
  n_trials: z.int().nullable().describe("Trainings of which the best is kept. Null: one."),
  max_seconds: z.number().describe("Seconds of training, at most."),
  label_names: z
    .array(z.string())
    .nullable()
    .describe("Names of the classes, by their index. Null: the labels of the file."),
  skip_invalid: z.boolean().describe("Whether bad examples are left out."),
  progress: TuningProgressObject.nullable().describe("How far it is. Null: it has not begun."),
  report: z.string().nullable().describe("Address of the report. Null: there is none yet."),
});
export type TuningJobObject = z.infer<typeof TuningJobObject>;

function unixSeconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1_000);
}

export function showJob(job: TuningJob): TuningJobObject {
  const { options, course } = job;
  const hyperparameters = {
    n_epochs: options.epochs ?? ("auto" as const),
    batch_size: options.batch ?? ("auto" as const),
    learning_rate_multiplier: options.learningRateMultiplier ?? ("auto" as const),
  };
  return {
    object: "fine_tuning.job",
    id: job.id,
    model: job.start?.name ?? job.model,
    created_at: unixSeconds(job.createdAt),
    ...showCourse(job),
    organization_id: job.tenant,
    training_file: job.trainingFile,
    validation_file: job.validationFile,
    result_files: [...job.resultFiles],
    hyperparameters,
    method: { type: "supervised", supervised: { hyperparameters } },
    integrations: [],
    seed: options.seed,
    suffix: job.suffix,
    metadata: job.metadata,
    task: options.task ?? job.fileTask,
    strategy: options.strategy,
    layers: options.layers,
    learning_rate: options.learningRate,
    // Jobs from before there was any have none.
    label_smoothing: options.labelSmoothing ?? null,
    lora: options.lora,
    soft_prompt: showSoftPrompt(options.softPrompt),
    early_stopping: options.earlyStopping,
    n_trials: options.trials,
    max_seconds: options.maxSeconds,
    // Jobs from before there were names have none.
    label_names: options.labelNames ?? null,
    skip_invalid: options.skipInvalid,
    progress: showProgress(job),
    report: course.status === "succeeded" && job.report !== null ? addressOf(job.report) : null,
  };
}

/** @param given undefined of a job that was kept before there were any */
function showSoftPrompt(
  given: TuningJob["options"]["softPrompt"] | undefined,
): TuningJobObject["soft_prompt"] {
  if (given === null || given === undefined) return null;
  return { virtual_tokens: given.virtualTokens, initial_text: given.initialText };
}

function showCourse({ course, progress, name }: TuningJob) {
  const { status, finishedAt, error } = course;
  const left = status === "running" ? (progress?.secondsLeft ?? null) : null;
  return {
    status: status === "paused" ? ("queued" as const) : status,
    paused: status === "paused",
    error,
    finished_at: finishedAt === null ? null : unixSeconds(finishedAt),
    estimated_finish:
      left === null || progress === null ? null : unixSeconds(progress.at + 1_000 * left),
    fine_tuned_model: status === "succeeded" ? name : null,
    trained_tokens: finishedAt === null ? null : (progress?.trainedTokens ?? 0),
  };
}

function showProgress({ progress, course }: TuningJob): TuningJobObject["progress"] {
  if (progress === null) return null;
  const { step, steps, seconds: trained, secondsLeft } = progress;
  const left = isOver(course) ? null : secondsLeft;
  return { step, steps, seconds: trained, seconds_left: left };
}

function addressOf(file: string): string {
  return `/v1/files/${file}/content`;
}
