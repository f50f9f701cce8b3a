/**
 * Closes a job's quota reservation, in the books of its tenant and, where that has one, of its site. The operator has none.
 */
import type { JobId } from "#contract/job-id.ts";
import { ledgersOf } from "../accounts/ledgers.ts";
import type { TenantQuota } from "../accounts/tenant-quota.ts";
import type { Env } from "../environment.ts";

/** @param units tokens to charge; 0 for a job that failed or that nobody wanted any more */
export async function settle(env: Env, tenant: string, id: JobId, units: number): Promise<void> {
  await inBooksOf(env, tenant, (quota) => quota.settle(id, units));
}

/** One request came to nothing. With the last of those that share the reservation it is closed, at no cost. */
export async function release(env: Env, tenant: string, id: JobId): Promise<void> {
  await inBooksOf(env, tenant, (quota) => quota.release(id));
}

async function inBooksOf(
  env: Env,
  tenant: string,
  change: (quota: DurableObjectStub<TenantQuota>) => Promise<unknown>,
): Promise<void> {
  if (tenant === "operator") return;
  const { own, site } = ledgersOf(tenant);
  const ledgers = site === null ? [own] : [own, site];
  await Promise.all(ledgers.map(({ name }) => change(env.QUOTA.getByName(name))));
}
