/** Jobs, events and checkpoints against OpenAI's own schemas. */
import { describe, expect, it } from "vitest";
import type { TuningOptions } from "../../../contract/training/tuning-options.ts";
import { type Course, newCourse, type TuningStatus } from "../../../edge/fine-tuning/job-course.ts";
import { showJob, TuningJobObject } from "../../../edge/fine-tuning/show-job.ts";
import {
  showCheckpoint,
  showEvent,
  TuningCheckpointObject,
  TuningEventObject,
} from "../../../edge/fine-tuning/tuning-events.ts";
import {
  formatTunedModelName,
  formatTuningJobId,
  type TuningJob,
} from "../../../edge/fine-tuning/tuning-job.ts";
import { noSchemas, wrongBy } from "../../openai-schema.ts";

const id = formatTuningJobId("0123456789abcdef".repeat(2));
const model = "all-MiniLM-L6-v2";
const options: TuningOptions = {
  task: null,
  strategy: "auto",
  layers: null,
  epochs: 3,
  batch: null,
  learningRate: null,
  learningRateMultiplier: 0.5,
  labelSmoothing: null,
  lora: null,
  softPrompt: null,
  earlyStopping: null,
  trials: null,
  seed: 7,
  maxSeconds: 900,
  labelNames: null,
  skipInvalid: false,
};

function jobOf(course: Partial<Course>, more: Partial<TuningJob> = {}): TuningJob {
  return {
    id,
    tenant: "operator",
    model,
    baseTasks: [],
    trainingFile: "file-a",
    validationFile: null,
    name: formatTunedModelName({ id, model, suffix: null }),
    suffix: null,
    metadata: null,
    options,
    createdAt: 1_764_336_000_123,
    course: { ...newCourse, ...course },
    fileTask: null,
    progress: null,
    loading: { job: null, tries: 0 },
    resultFiles: [],
    report: null,
    ...more,
  };
}

const error = { code: "invalid_value", message: "no", param: "training_file" } as const;
const progress = {
  step: 1,
  steps: 2,
  trainedTokens: 30,
  seconds: 1.5,
  secondsLeft: 2.5,
  at: 1_764_336_001_000,
};
const finishedAt = 1_764_336_009_999;

/** But for `paused`, which OpenAI's API has and its schema lacks. */
const jobs: [TuningStatus, TuningJob][] = [
  ["validating_files", jobOf({})],
  ["queued", jobOf({ status: "queued" }, { metadata: { a: "b" }, suffix: "mood" })],
  ["running", jobOf({ status: "running" }, { progress, fileTask: "text-classification" })],
  [
    "succeeded",
    jobOf(
      { status: "succeeded", finishedAt },
      { progress, resultFiles: ["file-b"], report: "file-b" },
    ),
  ],
  ["failed", jobOf({ status: "failed", finishedAt, error }, { validationFile: "file-c" })],
  ["cancelled", jobOf({ status: "cancelled", finishedAt })],
];

describe("a job", () => {
  it.each(jobs)("that is %s is what is published", (status, job) => {
    const shown = showJob(job);
    expect(shown.status).toBe(status);
    expect(TuningJobObject.parse(shown)).toEqual(shown);
    const hasEnded = job.course.finishedAt !== null;
    expect(shown.finished_at).toBe(hasEnded ? 1_764_336_009 : null);
    expect(shown.estimated_finish).toBe(status === "running" ? 1_764_336_003 : null);
    expect(shown.fine_tuned_model).toBe(status === "succeeded" ? job.name : null);
  });

  it.skipIf(noSchemas !== null).each(jobs)("that is %s is OpenAI's", (_, job) => {
    expect(wrongBy("FineTuningJob", showJob(job))).toEqual([]);
  });
});

const event = showEvent({
  job: id,
  number: 3,
  at: 1_764_336_001_999,
  level: "warn",
  message: "Step 1",
  type: "metrics",
  data: JSON.stringify({ step: 1, train_loss: 0.25, best: true, note: null }),
});
const checkpoint = showCheckpoint(
  { id, name: "ft:a::b" },
  { step: 10, at: 1_764_336_001_999, metrics: { step: 10, valid_loss: 0.5 } },
);

describe("lists", () => {
  it("hold what is published", () => {
    expect(TuningEventObject.parse(event)).toEqual(event);
    expect(TuningCheckpointObject.parse(checkpoint)).toEqual(checkpoint);
  });

  it.skipIf(noSchemas !== null)("are OpenAI's", () => {
    const object = "list";
    const listed = jobs.map(([, job]) => showJob(job));
    expect([
      ...wrongBy("ListPaginatedFineTuningJobsResponse", { object, data: listed, has_more: true }),
      ...wrongBy("ListFineTuningJobEventsResponse", { object, data: [event], has_more: false }),
      ...wrongBy("ListFineTuningJobCheckpointsResponse", {
        object,
        data: [checkpoint],
        has_more: false,
        first_id: checkpoint.id,
        last_id: null,
      }),
    ]).toEqual([]);
  });
});
