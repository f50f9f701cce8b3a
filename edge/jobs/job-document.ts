/** The Job object callers see (`GET /v1/jobs/{id}`, 202 bodies, webhooks), as JSON text. */
import type { Usage } from "#contract/events.ts";
import { openaiError } from "../errors.ts";
import { renderError } from "../render-error.ts";
import { usageBody } from "../rendering.ts";
import type { Ticket } from "./shard-protocol.ts";

export type JobOutput = {
  /** Exactly the body of the synchronous call, JSON text. */
  body: string;
  /** Those of the synchronous call that say how it was made. */
  headers: Record<string, string>;
  usage: Usage;
};

function seconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1_000);
}

/** @param output what a succeeded job made; null for any other */
export function jobDocument(ticket: Ticket, output: JobOutput | null): string {
  const head = JSON.stringify({
    id: ticket.id,
    object: "job",
    status: ticket.status,
    task: ticket.task,
    model: ticket.model,
    created_at: seconds(ticket.createdAt),
    finished_at: ticket.finishedAt === null ? null : seconds(ticket.finishedAt),
  });
  const error =
    ticket.error === null ? null : openaiError(renderError(ticket.rendering, ticket.error));
  const usage = output === null ? null : usageBody(output.usage);
  const tail = JSON.stringify({ error, usage });
  // The output is put in as text, so that it is the synchronous body to the byte.
  return `${head.slice(0, -1)},"output":${output?.body ?? "null"},${tail.slice(1)}`;
}
