/** What is told of a tuning job as it moves, in the events of the job. */
import type { Course, CourseChange } from "./job-course.ts";
import type { TuningJob } from "./tuning-job.ts";

/** @param before its course before the change @returns null where there is nothing to tell */
export function wordsOfChange(
  { course, name }: TuningJob,
  before: Course,
  change: CourseChange,
): string | null {
  const { status, error } = course;
  if (change.kind === "lapsed" && status === "queued" && before.status === "running")
    return "The worker that trained it was lost. It waits for another.";
  if (change.kind === "ended" && course.made !== null && status === "running")
    return "Training has ended. The tuned model is being loaded.";
  if (status === before.status) return null;
  switch (status) {
    case "validating_files":
      return null;
    case "queued":
      return queuedWords(before);
    case "running":
      return "Fine-tuning job started";
    case "paused":
      return "Fine-tuning job paused";
    case "succeeded":
      return `New fine-tuned model created: ${name}. The job has successfully completed`;
    case "failed":
      return `The job failed: ${error?.message ?? ""}`;
    case "cancelled":
      return "Fine-tuning job cancelled";
  }
}

function queuedWords(before: Course): string {
  if (before.status === "validating_files") return "Files validated, moving job to queued state";
  if (before.status === "paused") return "Fine-tuning job resumed";
  return "Its worker gave it back. It waits for another.";
}
