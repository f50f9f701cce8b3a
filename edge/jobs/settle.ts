/** Closes a job's quota reservation, and says at what. The operator has none. */
import { errorTable } from "#contract/errors.ts";
import type { TerminalEvent } from "#contract/events.ts";
import type { JobId } from "#contract/job-id.ts";
import type { Env } from "../environment.ts";

/** @param units tokens to charge; 0 for a job that failed or that nobody wanted any more */
export async function settle(env: Env, tenant: string, id: JobId, units: number): Promise<void> {
  if (tenant === "operator") return;
  await env.QUOTA.get(env.QUOTA.idFromName(tenant)).settle(id, units);
}

/**
 * What was computed is charged, whoever still wants it; but nobody pays for a failure of ours.
 * @returns tokens
 */
export function unitsOf(event: TerminalEvent): number {
  if (event.type !== "failed") return event.usage.promptTokens;
  return errorTable[event.error.code].status < 500 ? (event.usage?.promptTokens ?? 0) : 0;
}
