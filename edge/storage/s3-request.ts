/**
 * Calls of the object store (S3 API, signed by aws4fetch), each tried again where the store is busy or its connection
 * breaks: one that was idle may be closed by the other side just as it is used again.
 */
import { AwsClient } from "aws4fetch";
import type { Settings } from "../environment.ts";

/** Of a whole call, and of each pause while a body is read. */
export const objectTimeoutMs = 30_000;
const triesMax = 4;
const pauseMs = 100;

export type StoreCall = {
  method: "GET" | "PUT" | "POST" | "DELETE";
  /** A path inside the bucket, of characters that need no escaping. */
  key: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  body?: Uint8Array;
  signal: AbortSignal;
};

/**
 * The body is not part of what is signed: a Request that holds it would copy it.
 * @throws what the last try met where that was no answer; the signal's reason
 */
export async function sendToStore(
  { s3, s3Credentials }: Settings,
  { method, key, query = {}, headers = {}, body, signal }: StoreCall,
): Promise<Response> {
  const client = new AwsClient({ ...s3Credentials, region: s3.region, service: "s3" });
  const url = new URL(`${s3.endpoint}/${s3.bucket}/${key}`);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  for (let tries = 1; ; tries += 1) {
    const signed = await client.sign(url, { method, headers });
    const request = { method, headers: signed.headers, signal, ...(body && { body }) };
    const response = await fetch(url, request).catch((error: unknown) => {
      if (signal.aborted || tries === triesMax) throw error;
      return null;
    });
    const busy = response === null || response.status >= 500 || response.status === 429;
    if (response !== null && (!busy || tries === triesMax)) return response;
    await response?.body?.cancel();
    await new Promise((resolve) => setTimeout(resolve, tries * pauseMs));
  }
}
