/**
 * The Job object callers see (`GET /v1/jobs/{id}`, 202 bodies, webhooks), as JSON text around its output: the output is put
 * in as text, or streamed, so that it is the body of the synchronous call to the byte.
 */
import type { Usage } from "#contract/events.ts";
import { openaiError } from "./errors.ts";
import { renderError } from "./render-error.ts";
import { usageBody } from "./rendering.ts";
import type { Ticket } from "../jobs/shard-protocol.ts";

/** What stands before the output, and what after it. */
export type JobFrame = { before: string; after: string };

function seconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1_000);
}

/**
 * @param usage of a succeeded job; null for any other
 * @param more further fields, at the end
 */
export function jobFrame(ticket: Ticket, usage: Usage | null, more: object = {}): JobFrame {
  const head = JSON.stringify({
    id: ticket.id,
    object: "job",
    status: ticket.status,
    task: ticket.task,
    model: ticket.model,
    created_at: seconds(ticket.createdAt),
    finished_at: ticket.finishedAt === null ? null : seconds(ticket.finishedAt),
    progress: ticket.progress,
  });
  const error =
    ticket.error === null ? null : openaiError(renderError(ticket.rendering, ticket.error));
  const shownUsage = usage === null ? null : usageBody(usage);
  const tail = JSON.stringify({ error, usage: shownUsage, ...more });
  return { before: `${head.slice(0, -1)},"output":`, after: `,${tail.slice(1)}` };
}

/** A job that shows no output. */
export function emptyJob(ticket: Ticket, usage: Usage | null, more: object = {}): string {
  const { before, after } = jobFrame(ticket, usage, more);
  return `${before}null${after}`;
}
