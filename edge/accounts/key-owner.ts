/** What belongs to a key, and not to an address, behind which there may be anybody. */
import { CodedError } from "#contract/errors.ts";
import type { EdgeContext } from "../context.ts";

/**
 * @param what is asked for, in the plural
 * @returns the tenant of the key @throws CodedError `insufficient_permissions` for a call that has none
 */
export function keyOwner(c: EdgeContext, what: string): string {
  const { tenant, operator } = c.get("caller");
  if (operator) return tenant;
  throw new CodedError(
    "insufficient_permissions",
    `${what} belong to a key, and this call has none. Send the operator's key: Authorization: Bearer KEY.`,
  );
}
