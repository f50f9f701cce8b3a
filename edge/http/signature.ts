/**
 * Checks that a POST to an internal route comes from a worker of ours: HMAC-SHA256 over timestamp, method, path and
 * body (contract/signature.ts), within the replay window, under one of two accepted secrets so that they can be
 * rotated. `crypto.subtle.verify` compares in constant time. What the body says is not its business.
 */
import { CodedError } from "#contract/errors.ts";
import { limits } from "#contract/limits.ts";
import {
  replayWindowSeconds,
  signatureHeader,
  signedPrefix,
  timestampHeader,
} from "#contract/signature.ts";
import { readBody } from "./request-body.ts";

const encoder = new TextEncoder();

/** Imported keys by secret; an isolate sees the two of its environment. */
const keys = new Map<string, Promise<CryptoKey>>();

function keyOf(secret: string): Promise<CryptoKey> {
  const known = keys.get(secret);
  if (known !== undefined) return known;
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, [
    "verify",
  ]);
  keys.set(secret, imported);
  return imported;
}

/** @returns the bytes of `v1=<hex>`, or null where the header is anything else */
function parseSignature(header: string | null): Uint8Array<ArrayBuffer> | null {
  const hex = /^v1=([0-9a-f]{64})$/.exec(header ?? "")?.[1];
  return hex === undefined ? null : Uint8Array.fromHex(hex);
}

function parseTimestamp(header: string | null): number | null {
  return /^\d{1,12}$/.test(header ?? "") ? Number(header) : null;
}

function refuse(reason: string): CodedError {
  return new CodedError("invalid_api_key", "This address is for workers that hold the secret.", {
    cause: new Error(reason),
  });
}

function signedBytes(prefix: string, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const head = encoder.encode(prefix);
  const bytes = new Uint8Array(head.byteLength + body.byteLength);
  bytes.set(head);
  bytes.set(body, head.byteLength);
  return bytes;
}

/**
 * @param body the request's whole body, unchanged
 * @param secrets the current one and, while they are rotated, the one before; any of them may have signed
 * @throws CodedError `invalid_api_key`, the same text whatever was wrong; the reason is its cause
 */
export async function verifySigned(
  request: Request,
  body: Uint8Array,
  secrets: readonly string[],
  nowSeconds: number,
): Promise<void> {
  const timestamp = parseTimestamp(request.headers.get(timestampHeader));
  if (timestamp === null) throw refuse("no timestamp");
  if (Math.abs(nowSeconds - timestamp) > replayWindowSeconds) throw refuse("outside the window");
  const signature = parseSignature(request.headers.get(signatureHeader));
  if (signature === null) throw refuse("no signature");

  const url = new URL(request.url);
  const prefix = signedPrefix(timestamp, request.method, url.pathname + url.search);
  const bytes = signedBytes(prefix, body);
  for (const secret of secrets) {
    if (await crypto.subtle.verify("HMAC", await keyOf(secret), signature, bytes)) return;
  }
  throw refuse("signature of another secret");
}

/**
 * Reads the body of a worker's call, up to the contract's limit, and checks its signature.
 * @throws CodedError as `verifySigned` does, and `request_too_large`
 */
export async function readSigned(
  request: Request,
  secrets: readonly string[],
  nowSeconds: number,
): Promise<Uint8Array> {
  const body = await readBody(request, limits.callbackBytesMax);
  await verifySigned(request, body, secrets, nowSeconds);
  return body;
}
