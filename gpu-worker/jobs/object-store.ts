/** Documents too large for a message or a callback, in object storage over the S3 API: verified when read. */
import { createHash } from "node:crypto";
import { ObjectLost, type ObjectReference } from "#contract/object-reference.ts";
import { TimeSlices } from "../event-loop/time-slices.ts";
import { AbortError } from "p-retry";
import { type ObjectStoreOptions, openObjectRequests, withRetries } from "./object-requests.ts";

export type ObjectStore = {
  /** The text of the document a reference names. @throws ObjectLost where it is gone or not what the reference says */
  read(reference: ObjectReference, signal: AbortSignal): Promise<string>;
  /** Its bytes as they arrive. @throws as `read`, at the end where the bytes are others */
  open(reference: ObjectReference, signal: AbortSignal): AsyncIterable<Uint8Array>;
  write(key: string, document: Document, signal: AbortSignal): Promise<ObjectReference>;
};

/** `parts`: its text, in pieces of some kilobytes. */
export type Document = { contentType: string; parts: AsyncIterable<string> };

export function openObjectStore(options: ObjectStoreOptions): ObjectStore {
  const send = openObjectRequests(options);
  return {
    read: (reference, signal) =>
      withRetries(signal, async () => {
        const answer = await send({ method: "GET", key: reference.key, signal });
        const bytes = new Uint8Array(await answer.arrayBuffer());
        await verify(bytes, reference, signal);
        return new TextDecoder().decode(bytes);
      }),
    async *open(reference, signal) {
      const { key } = reference;
      const answer = await withRetries(signal, () => send({ method: "GET", key, signal }));
      const hash = createHash("sha256");
      let bytes = 0;
      for await (const chunk of answer.body ?? []) {
        hash.update(chunk);
        bytes += chunk.byteLength;
        yield chunk;
      }
      if (bytes !== reference.bytes || hash.digest("hex") !== reference.sha256)
        throw new ObjectLost(key, "altered");
    },
    async write(key, { contentType, parts }, signal) {
      const pieces: Buffer[] = [];
      for await (const part of parts) pieces.push(Buffer.from(part));
      const bytes = Buffer.concat(pieces);
      const sha256 = await digest(bytes, signal);
      return withRetries(signal, async () => {
        await send({ method: "PUT", key, contentType, body: bytes, signal });
        return { key, bytes: bytes.byteLength, sha256 };
      });
    },
  };
}

async function verify(
  bytes: Uint8Array,
  reference: ObjectReference,
  signal: AbortSignal,
): Promise<void> {
  const same = bytes.byteLength === reference.bytes;
  if (same && (await digest(bytes, signal)) === reference.sha256) return;
  throw new AbortError(new ObjectLost(reference.key, "altered"));
}

/** Bytes hashed in one step. */
const hashedAtOnce = 2 ** 18;

async function digest(bytes: Uint8Array, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  const slices = new TimeSlices(signal);
  for (let at = 0; at < bytes.byteLength; at += hashedAtOnce) {
    if (slices.over) await slices.next();
    hash.update(bytes.subarray(at, at + hashedAtOnce));
  }
  return hash.digest("hex");
}
