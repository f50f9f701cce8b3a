/** Secrets of Standard Webhooks: `whsec_` and the base64 of 24 to 64 random bytes. */
import { CodedError } from "#contract/errors.ts";

const prefix = "whsec_";
const bytesMin = 24;
const bytesMax = 64;
const generatedBytes = 32;

function decodedLength(base64: string): number | null {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64) || base64.length % 4 !== 0) return null;
  return atob(base64).length;
}

/** @throws CodedError `invalid_value` where `secret` is not of the standard's form */
export function checkWebhookSecret(secret: string): string {
  const length = secret.startsWith(prefix) ? decodedLength(secret.slice(prefix.length)) : null;
  if (length !== null && length >= bytesMin && length <= bytesMax) return secret;
  const form = `${prefix} and the base64 of ${bytesMin} to ${bytesMax} bytes`;
  throw new CodedError("invalid_value", `webhook_secret: expected ${form}`, {
    param: "webhook_secret",
  });
}

/** @param fill fills an array with random bytes, such as `crypto.getRandomValues` */
export function generateWebhookSecret(fill: (bytes: Uint8Array<ArrayBuffer>) => void): string {
  const bytes = new Uint8Array(generatedBytes);
  fill(bytes);
  return prefix + btoa(String.fromCharCode(...bytes));
}
