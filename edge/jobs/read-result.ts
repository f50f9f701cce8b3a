/** A stored result, read back: from its text or from object storage. */
import { JobResult } from "#contract/events.ts";
import type { Settings } from "../environment.ts";
import { render } from "../rendering.ts";
import type { JobOutput } from "./job-document.ts";
import { getObject } from "./object-store.ts";
import type { StoredResult, Ticket } from "./shard-protocol.ts";

/** @throws Error where the object is gone or altered, ZodError where it is no result */
export async function readResult(stored: StoredResult, settings: Settings): Promise<JobResult> {
  // Inline text was parsed at the callback route, by the same isolate's code.
  if (stored.kind === "inline") return JSON.parse(stored.json);
  return JobResult.parse(JSON.parse(await getObject(settings, stored.reference)));
}

/** @returns what the job made, as the synchronous call would have shown it; null where it made nothing */
export async function readOutput(ticket: Ticket, settings: Settings): Promise<JobOutput | null> {
  if (ticket.result === null) return null;
  const result = await readResult(ticket.result, settings);
  return { ...render(ticket.rendering, result, ticket.warnings), usage: result.usage };
}
