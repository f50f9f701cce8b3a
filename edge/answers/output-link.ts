/**
 * Links to the output of a job that need no key: signed by the edge, good until the output is no longer kept. The key
 * is derived from the callback secret for this purpose alone, and outlives a rotation of it as callbacks do.
 */
import { CodedError } from "#contract/errors.ts";
import type { JobId } from "#contract/job-id.ts";

const purpose = "output-url";
const hmac = { name: "HMAC", hash: "SHA-256" };
const encoder = new TextEncoder();

async function keyOf(secret: string): Promise<CryptoKey> {
  const master = await crypto.subtle.importKey("raw", encoder.encode(secret), hmac, false, [
    "sign",
  ]);
  const derived = await crypto.subtle.sign(hmac, master, encoder.encode(purpose));
  return crypto.subtle.importKey("raw", derived, hmac, false, ["sign", "verify"]);
}

function signedText(id: JobId, expires: number): BufferSource {
  return encoder.encode(`${id}\n${expires}`);
}

/**
 * @param origin of the edge, as its callers reach it
 * @param expires seconds since the epoch
 */
export async function outputLink(
  { origin, id, expires }: { origin: string; id: JobId; expires: number },
  secret: string,
): Promise<string> {
  const digest = await crypto.subtle.sign(hmac, await keyOf(secret), signedText(id, expires));
  const signature = new Uint8Array(digest).toHex();
  return `${origin}/v1/jobs/${id}/output?expires=${expires}&signature=${signature}`;
}

/** The query of a link, unread. */
export type LinkQuery = { expires: string | undefined; signature: string | undefined };

/**
 * @param secrets any of these may have signed
 * @throws CodedError `insufficient_permissions` where the link was not made here, or its time is over
 */
export async function checkOutputLink(
  id: JobId,
  { expires, signature }: LinkQuery,
  secrets: readonly string[],
  nowSeconds: number,
): Promise<void> {
  const until = /^\d{1,12}$/.test(expires ?? "") ? Number(expires) : null;
  const bytes = bytesOf(signature);
  if (until === null || bytes === null || !(await isOurs(id, until, bytes, secrets))) {
    throw new CodedError(
      "insufficient_permissions",
      "This link was not made here. Use the output_url of a webhook unchanged, or GET /v1/jobs/{id} with your key.",
      { param: "signature" },
    );
  }
  if (until >= nowSeconds) return;
  throw new CodedError(
    "insufficient_permissions",
    "This link has expired: outputs are kept for a day. Send the request again.",
    { param: "expires" },
  );
}

async function isOurs(
  id: JobId,
  expires: number,
  signature: Uint8Array<ArrayBuffer>,
  secrets: readonly string[],
): Promise<boolean> {
  for (const secret of secrets) {
    const key = await keyOf(secret);
    if (await crypto.subtle.verify(hmac, key, signature, signedText(id, expires))) return true;
  }
  return false;
}

function bytesOf(signature: string | undefined): Uint8Array<ArrayBuffer> | null {
  if (!/^[0-9a-f]{64}$/.test(signature ?? "")) return null;
  return Uint8Array.fromHex(signature ?? "");
}
