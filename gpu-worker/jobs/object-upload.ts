/**
 * Files to object storage: a small one by a PUT, a larger one by S3's multipart upload, which shows nothing of it
 * before the last part is there (https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html).
 */
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import type { ObjectReference } from "#contract/object-reference.ts";
import { type ObjectRequest, type ObjectStoreOptions } from "./object-requests.ts";
import { openObjectRequests, type SendObjectRequest, withRetries } from "./object-requests.ts";

export type UploadTarget = { key: string; contentType: string };

/** @throws the file system's error; Error that names the request which failed; the signal's reason */
export type UploadFile = (
  file: string,
  target: UploadTarget,
  signal: AbortSignal,
) => Promise<ObjectReference>;

/** R2 wants all parts but the last alike, and a local store takes no body over 11 MiB. */
const partBytes = 8 * 2 ** 20;
/** Of one request. */
const requestMs = 120_000;
const abandonMs = 5_000;

export function openFileUploads(options: ObjectStoreOptions): UploadFile {
  const send = openObjectRequests(options);
  return async (file, target, signal) => {
    const handle = await open(file);
    try {
      return await new Upload(send, target, signal).run(handle);
    } finally {
      await handle.close();
    }
  };
}

class Upload {
  readonly #send: SendObjectRequest;
  readonly #target: UploadTarget;
  readonly #signal: AbortSignal;
  readonly #hash = createHash("sha256");

  constructor(send: SendObjectRequest, target: UploadTarget, signal: AbortSignal) {
    this.#send = send;
    this.#target = target;
    this.#signal = signal;
  }

  async run(file: FileHandle): Promise<ObjectReference> {
    const { size } = await file.stat();
    const { key, contentType } = this.#target;
    if (size <= partBytes) {
      const body = await this.#read(file, 0, size);
      await this.#call({ method: "PUT", contentType, body });
    } else await this.#inParts(file, size);
    return { key, bytes: size, sha256: this.#hash.digest("hex") };
  }

  async #inParts(file: FileHandle, size: number): Promise<void> {
    const { contentType } = this.#target;
    const begun = await this.#call({ method: "POST", query: { uploads: "" }, contentType });
    const uploadId = /<UploadId>([^<]+)<\/UploadId>/.exec(begun.text)?.[1];
    if (uploadId === undefined)
      throw new Error(`object store: no upload id for ${this.#target.key}`);
    try {
      const parts: string[] = [];
      for (let at = 0; at < size; at += partBytes) {
        const body = await this.#read(file, at, Math.min(partBytes, size - at));
        const partNumber = parts.length + 1;
        const query = { partNumber: String(partNumber), uploadId };
        const { etag } = await this.#call({ method: "PUT", query, body });
        parts.push(`<Part><PartNumber>${partNumber}</PartNumber><ETag>${etag}</ETag></Part>`);
      }
      await this.#complete(uploadId, parts);
    } catch (error) {
      await this.#abandon(uploadId);
      throw error;
    }
  }

  async #complete(uploadId: string, parts: readonly string[]): Promise<void> {
    const body = `<CompleteMultipartUpload>${parts.join("")}</CompleteMultipartUpload>`;
    const { text } = await this.#call({ method: "POST", query: { uploadId }, body });
    // It may fail after its status was sent.
    if (text.includes("<Error>")) throw new Error(`object store: ${text.slice(0, 500)}`);
  }

  /** Nothing is left of what was sent. */
  async #abandon(uploadId: string): Promise<void> {
    const signal = AbortSignal.timeout(abandonMs);
    const { key } = this.#target;
    await this.#send({ method: "DELETE", key, query: { uploadId }, signal }).catch(() => undefined);
  }

  async #read(file: FileHandle, at: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    for (let held = 0; held < length;) {
      const { bytesRead } = await file.read(bytes, held, length - held, at + held);
      if (bytesRead === 0) throw new Error("the file was cut short while it was sent");
      held += bytesRead;
    }
    this.#hash.update(bytes);
    return bytes;
  }

  #call(request: Omit<ObjectRequest, "key" | "signal">): Promise<{ text: string; etag: string }> {
    return withRetries(this.#signal, async () => {
      const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(requestMs)]);
      const answer = await this.#send({ ...request, key: this.#target.key, signal });
      const etag = (answer.headers.get("etag") ?? "").replaceAll("&", "&amp;");
      return { text: await answer.text(), etag };
    });
  }
}
