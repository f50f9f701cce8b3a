/** Closes a job's quota reservation. The operator has none. */
import type { JobId } from "#contract/job-id.ts";
import type { Env } from "../environment.ts";

/** @param units tokens to charge; 0 for a job that failed or that nobody wanted any more */
export async function settle(env: Env, tenant: string, id: JobId, units: number): Promise<void> {
  if (tenant === "operator") return;
  await env.QUOTA.get(env.QUOTA.idFromName(tenant)).settle(id, units);
}
