/** Large documents in object storage: written whole, read chunk by chunk and verified. */
import type { ObjectReference } from "#contract/object-reference.ts";
import type { Settings } from "../environment.ts";
import { freeBytes } from "../http/free-bytes.ts";
import { withTimeout } from "../http/with-timeout.ts";
import { objectTimeoutMs, sendToStore } from "./s3-request.ts";

/** Of what is read at once: fifty readers hold fifty, and several times that of what they make of it. */
const chunkBytes = 16 * 1024;

export type StoredDocument = { key: string; contentType: string; bytes: Uint8Array };

/**
 * The key is a path inside the bucket, of characters that need no escaping. The bytes are given away: they are freed.
 */
export async function putObject(
  settings: Settings,
  { key, contentType, bytes }: StoredDocument,
): Promise<ObjectReference> {
  const reference = {
    key,
    bytes: bytes.byteLength,
    sha256: new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex(),
  };
  const headers = { "content-type": contentType, "x-amz-content-sha256": reference.sha256 };
  try {
    await withTimeout(objectTimeoutMs, async (signal) => {
      const response = await sendToStore(settings, {
        method: "PUT",
        key,
        headers,
        body: bytes,
        signal,
      });
      await response.body?.cancel();
      if (!response.ok) throw new Error(`object store: PUT ${key} was answered ${response.status}`);
    });
  } finally {
    freeBytes(bytes);
  }
  return reference;
}

/**
 * @returns its bytes, in chunks the reader may write to; after the last of them it throws where the object is not the
 * one that was written. Null: there is no such object
 */
export async function openObject(
  settings: Settings,
  reference: ObjectReference,
): Promise<AsyncGenerator<Uint8Array> | null> {
  const { key } = reference;
  const response = await withTimeout(objectTimeoutMs, (signal) =>
    sendToStore(settings, { method: "GET", key, signal }),
  );
  if (response.ok && response.body !== null) return verified(response.body, reference);
  await response.body?.cancel();
  if (response.status === 404) return null;
  throw new Error(`object store: GET ${key} was answered ${response.status}`);
}

async function* verified(
  body: ReadableStream,
  { key, bytes, sha256 }: ObjectReference,
): AsyncGenerator<Uint8Array> {
  const reader = body.getReader({ mode: "byob" });
  const watch = watchReads(reader);
  const digest = new crypto.DigestStream("SHA-256");
  const hash = digest.getWriter();
  let read = 0;
  try {
    for (;;) {
      const { done, value } = await watch.read();
      if (done || value === undefined) break;
      read += value.byteLength;
      await hash.write(value);
      yield value;
    }
    await hash.close();
    if (read === bytes && new Uint8Array(await digest.digest).toHex() === sha256) return;
    throw new Error(`object store: ${key} is not the object that was written`);
  } finally {
    watch.stop();
    await reader.cancel().catch(() => {});
  }
}

/** A store that says nothing for too long has ended; that a reader takes its time is not its fault. */
function watchReads(reader: ReadableStreamBYOBReader) {
  let askedAt: number | null = null;
  const clock = setInterval(() => {
    if (askedAt !== null && Date.now() - askedAt > objectTimeoutMs)
      void reader.cancel("it went silent");
  }, objectTimeoutMs / 3);
  return {
    read: async () => {
      askedAt = Date.now();
      const chunk = await reader.readAtLeast(1, new Uint8Array(chunkBytes));
      askedAt = null;
      return chunk;
    },
    stop: () => clearInterval(clock),
  };
}
