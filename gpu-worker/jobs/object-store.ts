/** Documents too large for a message or a callback, in object storage over the S3 API: verified when read. */
import { createHash } from "node:crypto";
import { AwsClient } from "aws4fetch";
import type { ObjectReference } from "#contract/object-reference.ts";
import pRetry, { AbortError } from "p-retry";

export type ObjectStore = {
  /** The JSON document a reference names. @throws where it is gone or is not what the reference says */
  read(reference: ObjectReference, signal: AbortSignal): Promise<unknown>;
  write(key: string, document: Document, signal: AbortSignal): Promise<ObjectReference>;
};

export type Document = { contentType: string; lines: Iterable<string> };

export type ObjectStoreOptions = {
  endpoint: string;
  bucket: string;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
};

export function openObjectStore(options: ObjectStoreOptions): ObjectStore {
  const { accessKeyId, secretAccessKey, region } = options;
  const client = new AwsClient({ accessKeyId, secretAccessKey, region, service: "s3", retries: 0 });
  const addressOf = (key: string) =>
    [
      options.endpoint.replace(/\/$/, ""),
      options.bucket,
      ...key.split("/").map(encodeURIComponent),
    ].join("/");
  return {
    read: (reference, signal) =>
      insist(signal, async () => {
        const answer = await client.fetch(addressOf(reference.key), { signal });
        await demandSuccess(answer, `GET ${reference.key}`);
        const bytes = new Uint8Array(await answer.arrayBuffer());
        verify(bytes, reference);
        return JSON.parse(new TextDecoder().decode(bytes));
      }),
    write: (key, document, signal) => {
      const bytes = Buffer.concat(Array.from(document.lines, (line) => Buffer.from(line)));
      return insist(signal, async () => {
        const headers = { "content-type": document.contentType };
        const request = { method: "PUT", body: bytes, headers, signal };
        await demandSuccess(await client.fetch(addressOf(key), request), `PUT ${key}`);
        return { key, bytes: bytes.byteLength, sha256: digest(bytes) };
      });
    },
  };
}

function insist<T>(signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
  return pRetry(attempt, {
    retries: 4,
    minTimeout: 200,
    maxTimeout: 3_000,
    randomize: true,
    signal,
  });
}

async function demandSuccess(answer: Response, what: string): Promise<void> {
  if (answer.ok) return;
  await answer.body?.cancel();
  const error = new Error(`${what} answered ${answer.status}`);
  const passing = answer.status >= 500 || answer.status === 408 || answer.status === 429;
  throw passing ? error : new AbortError(error);
}

function verify(bytes: Uint8Array, reference: ObjectReference): void {
  if (bytes.byteLength === reference.bytes && digest(bytes) === reference.sha256) return;
  throw new AbortError(`the object ${reference.key} is not the one that was written`);
}

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
