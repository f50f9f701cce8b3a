/**
 * Who is calling: the operator by its key, or the free tier by network address. Any other key is refused, never taken
 * for anonymous: whoever sends a key must learn that it does not count.
 */
import { CodedError } from "#contract/errors.ts";
import type { Caller } from "../context.ts";
import type { Settings } from "../environment.ts";
import { networkOfAddress } from "./network-of-address.ts";

export type Credentials = {
  /** The header `Authorization`. */
  authorization: string | undefined;
  /** The header `CF-Connecting-IP`, which Cloudflare sets and a caller of a local stack may forge. */
  address: string | undefined;
};

const encoder = new TextEncoder();
const operator: Caller = { tenant: "operator", operator: true };
const local: Caller = { tenant: "local", operator: false };

/** @throws CodedError `invalid_api_key` */
export function identifyCaller(
  credentials: Credentials,
  settings: Pick<Settings, "operatorKey" | "localStack">,
): Caller {
  const key = bearerKey(credentials.authorization);
  if (key === null || key === "anonymous") return anonymousCaller(credentials, settings);
  if (holdsOperatorKey(credentials, settings)) return operator;
  throw new CodedError(
    "invalid_api_key",
    "The API key is not known here. Correct it, or send no Authorization header to use the free tier.",
  );
}

export function holdsOperatorKey(
  { authorization }: Credentials,
  { operatorKey }: Pick<Settings, "operatorKey">,
): boolean {
  if (operatorKey === "") return false;
  return isSame(bearerKey(authorization) ?? "", operatorKey);
}

/** @returns null where there is no header; "" where it holds no bearer key, which no key equals */
function bearerKey(authorization: string | undefined): string | null {
  if (authorization === undefined) return null;
  return /^bearer +(\S+) *$/i.exec(authorization)?.[1] ?? "";
}

/** The caller by its address alone. */
export function anonymousCaller(
  credentials: Credentials,
  settings: Pick<Settings, "localStack">,
): Caller {
  if (settings.localStack) return local;
  const network = networkOfAddress(credentials.address ?? "unknown");
  return { tenant: `ip:${network}`, operator: false };
}

/** Takes as long for every wrong key of the right length. */
function isSame(given: string, expected: string): boolean {
  const a = encoder.encode(given);
  const b = encoder.encode(expected);
  return a.byteLength === b.byteLength && crypto.subtle.timingSafeEqual(a, b);
}
