/**
 * The Job object callers see (`GET /v1/jobs/{id}`, 202 bodies, webhooks), as JSON text around its output: the output is
 * put in as text, or streamed, so that it is the body of the synchronous call to the byte.
 */
import type { Usage } from "#contract/result-document.ts";
import { errorDetail } from "./error-forms.ts";
import type { Job } from "./job.ts";
import { renderError, usageBody } from "./surfaces.ts";

/** What stands before the output, and what after it. */
export type JobFrame = { before: string; after: string };

function seconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1_000);
}

/**
 * @param usage of a succeeded job; null for any other
 * @param more further fields, at the end
 */
export function jobFrame(job: Job, usage: Usage | null, more: object = {}): JobFrame {
  const head = JSON.stringify({
    id: job.id,
    object: "job",
    status: job.status,
    task: job.task,
    model: job.model,
    created_at: seconds(job.createdAt),
    finished_at: job.finishedAt === null ? null : seconds(job.finishedAt),
    progress: job.progress,
  });
  const error = job.error === null ? null : errorDetail(renderError(job.rendering, job.error));
  const shownUsage = usage === null ? null : usageBody(usage);
  const tail = JSON.stringify({ error, usage: shownUsage, ...more });
  return { before: `${head.slice(0, -1)},"output":`, after: `,${tail.slice(1)}` };
}

/** A job that shows no output. */
export function emptyJob(job: Job, usage: Usage | null, more: object = {}): string {
  const { before, after } = jobFrame(job, usage, more);
  return `${before}null${after}`;
}
