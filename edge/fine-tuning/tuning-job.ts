/** A tuning job of a key, as its row keeps it. */
import type { JobId } from "#contract/job-id.ts";
import type { Task } from "#contract/tasks.ts";
import type { TrainingTask } from "#contract/training/forms.ts";
import type { TuningJobId, TuningProgress } from "#contract/training/tuning-job.ts";
import type { TuningOptions } from "#contract/training/tuning-options.ts";
import type { TunedModel, TunedModelName } from "#contract/training/tuned-model.ts";
import type { Course } from "./job-course.ts";

/** Text by text. */
export type Metadata = Readonly<Record<string, string>>;

/** A job as it is asked for. */
export type NewTuningJob = {
  id: TuningJobId;
  tenant: string;
  /** Id of the base, and what it does. */
  model: string;
  baseTasks: readonly Task[];
  /** A tuned model of that base which it goes on from. Absent: it begins with the base. */
  start?: { name: TunedModelName; kind: TunedModel["kind"] };
  trainingFile: string;
  validationFile: string | null;
  /** Of the tuned model. */
  name: TunedModelName;
  suffix: string | null;
  metadata: Metadata | null;
  options: TuningOptions;
};

export type TuningJob = NewTuningJob & {
  /** Milliseconds since the epoch, as all times here. */
  createdAt: number;
  course: Course;
  /** What its file is for; null: that is not known yet. */
  fileTask: TrainingTask | null;
  progress: (TuningProgress & { at: number }) | null;
  /** The job that has a worker load the tuned model, and how often one was begun. */
  loading: { job: JobId | null; tries: number };
  /** Ids of files. */
  resultFiles: readonly string[];
  /** Of these, the report. */
  report: string | null;
};

/** @param random 32 lower-case hex digits */
export function formatTuningJobId(random: string): TuningJobId {
  return `ftjob-${random}`;
}

/** The 32 digits of its id, which are those of its tuned model too. */
export function digitsOf(id: TuningJobId): string {
  return id.slice("ftjob-".length);
}

export function formatTunedModelName(job: {
  id: TuningJobId;
  model: string;
  suffix: string | null;
}): TunedModelName {
  return `ft:${job.model}:${job.suffix ?? ""}:${digitsOf(job.id)}`;
}

/** Where in the bucket everything lies that workers make of it. */
export function folderOf(id: TuningJobId): string {
  return `tuned/${digitsOf(id)}/`;
}

/** And where the files of the model, and what is told of it. */
export function prefixesOf(id: TuningJobId): { modelPrefix: string; resultPrefix: string } {
  return { modelPrefix: `${folderOf(id)}model/`, resultPrefix: `${folderOf(id)}results/` };
}
