/** The operations of fine-tuning. */
import * as z from "zod";
import { formatTunedModelName, formatTuningJobId } from "../fine-tuning/tuning-job.ts";
import type { TuningJobObject } from "../fine-tuning/show-job.ts";
import { TuningJobObject as JobObject } from "../fine-tuning/show-job.ts";
import { type TuningCheckpointObject, TuningEventObject } from "../fine-tuning/tuning-events.ts";
import { TuningJobList } from "../routes/fine-tuning.ts";
import { TuningCheckpointList, TuningEventList } from "../routes/fine-tuning-events.ts";
import { TuningDryRun } from "../routes/plan-tuning-job.ts";
import { CreateTuningJobRequest } from "../routes/fine-tuning-request.ts";
import { fileId } from "./file-operations.ts";
import type { Operation } from "./operation.ts";

const digits = "5f0c8a0e7b1d4c2f9a3e6d8b7c5a4f21";
export const tuningJobId = formatTuningJobId(digits);
const model = "all-MiniLM-L6-v2";
const name = formatTunedModelName({ id: tuningJobId, model, suffix: "mood" });
const hyperparameters = {
  n_epochs: 3,
  batch_size: "auto",
  learning_rate_multiplier: "auto",
} as const;

const jobExample: TuningJobObject = {
  object: "fine_tuning.job",
  id: tuningJobId,
  model,
  created_at: 1_764_336_000,
  finished_at: 1_764_336_180,
  estimated_finish: null,
  fine_tuned_model: name,
  organization_id: "operator",
  status: "succeeded",
  paused: false,
  error: null,
  training_file: fileId,
  validation_file: null,
  result_files: ["file-00000000000000000000000000000001"],
  trained_tokens: 48_210,
  hyperparameters,
  method: { type: "supervised", supervised: { hyperparameters } },
  integrations: [],
  seed: 7,
  suffix: "mood",
  metadata: { team: "support" },
  task: "text-classification",
  strategy: "auto",
  layers: null,
  learning_rate: null,
  label_smoothing: null,
  lora: null,
  soft_prompt: null,
  early_stopping: null,
  n_trials: null,
  max_seconds: 900,
  label_names: null,
  skip_invalid: false,
  progress: { step: 90, steps: 90, seconds: 151.2, seconds_left: 0 },
  report: "/v1/files/file-00000000000000000000000000000001/content",
};

const queuedExample: TuningJobObject = {
  ...jobExample,
  finished_at: null,
  fine_tuned_model: null,
  status: "queued",
  result_files: [],
  trained_tokens: null,
  progress: null,
  report: null,
};

const eventExample: TuningEventObject = {
  object: "fine_tuning.job.event",
  id: `ftevent-${digits}-12`,
  created_at: 1_764_336_060,
  level: "info",
  message: "Step 30/90: training loss=0.41",
  type: "metrics",
  data: { step: 30, train_loss: 0.41, total_steps: 90 },
};

const checkpointExample: TuningCheckpointObject = {
  object: "fine_tuning.job.checkpoint",
  id: `ftckpt-${digits}-90`,
  created_at: 1_764_336_170,
  fine_tuned_model_checkpoint: `${name}:ckpt-step-90`,
  fine_tuning_job_id: tuningJobId,
  step_number: 90,
  metrics: { step: 90, train_loss: 0.12, valid_loss: 0.2 },
};

const jobs = "/v1/fine_tuning/jobs";

type TuningOperation = Pick<Operation, "method" | "path" | "id" | "summary" | "description"> &
  Partial<Operation>;

function ofTuning(operation: TuningOperation): Operation {
  return {
    tag: "Fine-tuning",
    response: JobObject,
    example: { response: queuedExample },
    errors: [401, 403, 404, 429, 500],
    headers: "any",
    ...operation,
  };
}

function changing(change: "cancel" | "pause" | "resume", description: string): Operation {
  return ofTuning({
    method: "post",
    path: `${jobs}/{fine_tuning_job}/${change}`,
    id: `${change}FineTuningJob`,
    summary: `${change[0]?.toUpperCase() ?? ""}${change.slice(1)} a fine-tuning job`,
    description,
    example: {
      response: {
        ...queuedExample,
        status: change === "cancel" ? "cancelled" : "queued",
        paused: change === "pause",
      },
    },
    errors: [400, 401, 403, 404, 429, 500],
  });
}

const paging = (most: string, example: string): NonNullable<Operation["query"]> => ({
  limit: { description: `So many, ${most} at most.`, example: "20", optional: true },
  after: { description: "Those after this one.", example, optional: true },
});

export const tuningOperations: readonly Operation[] = [
  ofTuning({
    method: "post",
    path: jobs,
    id: "createFineTuningJob",
    summary: "Train a model on a file",
    description:
      "Takes OpenAI's fields, and ours beside them. One job of a key runs at a time, and 3 wait. max_seconds of the " +
      "day's seconds of training are reserved, and what was not used is given back. With dry_run nothing is created, " +
      "and the answer says what the job would do and cost; one of a key goes at a time.",
    request: CreateTuningJobRequest,
    response: z.union([JobObject, TuningDryRun]),
    job: true,
    headers: "job",
    example: {
      request: {
        model,
        training_file: fileId,
        suffix: "mood",
        seed: 7,
        method: { type: "supervised", supervised: { hyperparameters: { n_epochs: 3 } } },
        metadata: { team: "support" },
      },
      response: { ...queuedExample, status: "validating_files" },
    },
    header: "idempotencyKey",
    errors: [400, 401, 403, 404, 408, 409, 413, 415, 429, 500, 504],
  }),
  ofTuning({
    method: "get",
    path: jobs,
    id: "listFineTuningJobs",
    summary: "List fine-tuning jobs",
    description:
      "Those of the key that asks, the newest first. metadata[KEY]=VALUE, as often as wanted, names those to find.",
    query: {
      ...paging("1000", tuningJobId),
      metadata: { description: "null: those without any.", example: "null", optional: true },
    },
    response: TuningJobList,
    example: { response: { object: "list", data: [jobExample], has_more: false } },
    errors: [400, 401, 403, 404, 429, 500],
  }),
  ofTuning({
    method: "get",
    path: `${jobs}/{fine_tuning_job}`,
    id: "getFineTuningJob",
    summary: "Ask for a fine-tuning job",
    description: "How it stands, and what came of it.",
    example: { response: jobExample },
  }),
  changing("cancel", "One that waits ends at once, one in training within some seconds."),
  changing("pause", "One in training keeps its state, and goes on from there."),
  changing("resume", "A paused one waits for its turn again."),
  ofTuning({
    method: "get",
    path: `${jobs}/{fine_tuning_job}/events`,
    id: "listFineTuningEvents",
    summary: "What happened to a fine-tuning job",
    description:
      "The newest first; with stream=true as server-sent events from the first, or from the one after Last-Event-ID, " +
      "until the job has ended.",
    query: {
      ...paging("1000", eventExample.id),
      stream: { description: "true: as they come.", example: "true", optional: true },
    },
    header: "lastEventId",
    response: TuningEventList,
    event: TuningEventObject,
    example: {
      response: { object: "list", data: [eventExample], has_more: true },
      event: eventExample,
    },
    errors: [400, 401, 403, 404, 429, 500],
  }),
  ofTuning({
    method: "get",
    path: `${jobs}/{fine_tuning_job}/checkpoints`,
    id: "listFineTuningCheckpoints",
    summary: "Checkpoints of a fine-tuning job",
    description: "The evaluations that were the best so far, the last first.",
    query: paging("1000", checkpointExample.id),
    response: TuningCheckpointList,
    example: {
      response: {
        object: "list",
        data: [checkpointExample],
        first_id: checkpointExample.id,
        last_id: checkpointExample.id,
        has_more: false,
      },
    },
    errors: [400, 401, 403, 404, 429, 500],
  }),
];
