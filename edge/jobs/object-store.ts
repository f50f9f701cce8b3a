/** Large JSON documents in object storage (S3 API, signed by aws4fetch): written whole, read back whole and verified. */
import { AwsClient } from "aws4fetch";
import type { ObjectReference } from "#contract/object-reference.ts";
import type { Settings } from "../environment.ts";
import { within } from "../within.ts";

const timeoutMs = 30_000;
const retries = 3;
const encoder = new TextEncoder();

async function sha256Hex(bytes: BufferSource): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @returns the answer's status and its body, whole */
async function request(
  settings: Settings,
  key: string,
  init: RequestInit,
): Promise<{ ok: boolean; status: number; body: Uint8Array<ArrayBuffer> }> {
  const client = new AwsClient({
    ...settings.s3Credentials,
    region: settings.awsRegion,
    service: "s3",
    retries,
  });
  const url = `${settings.s3.endpoint}/${settings.s3.bucket}/${key}`;
  return within(timeoutMs, async (signal) => {
    const response = await client.fetch(url, { ...init, signal });
    const { ok, status } = response;
    return { ok, status, body: new Uint8Array(await response.arrayBuffer()) };
  });
}

/** @param key path inside the bucket, of characters that need no escaping */
export async function putObject(
  settings: Settings,
  key: string,
  json: string,
): Promise<ObjectReference> {
  const bytes = encoder.encode(json);
  const sha256 = await sha256Hex(bytes);
  const { ok, status } = await request(settings, key, {
    method: "PUT",
    headers: { "content-type": "application/json", "x-amz-content-sha256": sha256 },
    body: bytes,
  });
  if (!ok) throw new Error(`object store: PUT ${key} was answered ${status}`);
  return { key, bytes: bytes.byteLength, sha256 };
}

/** @throws Error where the object is gone or is not the one that was referred to */
export async function getObject(settings: Settings, reference: ObjectReference): Promise<string> {
  const { key, bytes, sha256 } = reference;
  const { ok, status, body } = await request(settings, key, { method: "GET" });
  if (!ok) throw new Error(`object store: GET ${key} was answered ${status}`);
  if (body.byteLength !== bytes || (await sha256Hex(body)) !== sha256) {
    throw new Error(`object store: ${key} is not the object that was written`);
  }
  return new TextDecoder().decode(body);
}
