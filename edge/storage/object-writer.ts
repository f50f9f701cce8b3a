/**
 * Writes an object whose bytes come one after the other, and never holds more than one part of it: a small one by a
 * PUT, a larger one by S3's multipart upload, which shows nothing of it before the last part is there
 * (https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html).
 */
import type { ObjectReference } from "#contract/object-reference.ts";
import type { Settings } from "../environment.ts";
import { withTimeout } from "../http/with-timeout.ts";
import { objectTimeoutMs, sendToStore, type StoreCall } from "./s3-request.ts";

/** Least size of a part but the last in S3; R2 wants all of them alike, and a local store takes no body over 11 MiB. */
export const partBytes = 5 * 2 ** 20;

type Part = { number: number; etag: string };

export class ObjectWriter {
  readonly #settings: Settings;
  readonly #key: string;
  readonly #digest = new crypto.DigestStream("SHA-256");
  readonly #hash = this.#digest.getWriter();
  readonly #part = new Uint8Array(partBytes);
  readonly #parts: Part[] = [];
  #held = 0;
  #bytes = 0;
  #uploadId: string | null = null;

  /** @param key a path inside the bucket, of characters that need no escaping */
  constructor(settings: Settings, key: string) {
    this.#settings = settings;
    this.#key = key;
  }

  /** Of all that was written. */
  get bytes(): number {
    return this.#bytes;
  }

  async write(chunk: Uint8Array): Promise<void> {
    await this.#hash.write(chunk);
    this.#bytes += chunk.byteLength;
    for (let at = 0; at < chunk.byteLength;) {
      // A full part is sent with the byte that follows it: the last one may be short, and there is always one.
      if (this.#held === partBytes) await this.#sendPart();
      const piece = chunk.subarray(at, at + partBytes - this.#held);
      this.#part.set(piece, this.#held);
      this.#held += piece.byteLength;
      at += piece.byteLength;
    }
  }

  async end(): Promise<ObjectReference> {
    await this.#hash.close();
    if (this.#uploadId === null) {
      await this.#call({ method: "PUT", body: this.#part.subarray(0, this.#held) });
    } else {
      await this.#sendPart();
      await this.#complete(this.#uploadId);
    }
    const sha256 = new Uint8Array(await this.#digest.digest).toHex();
    return { key: this.#key, bytes: this.#bytes, sha256 };
  }

  /** Nothing is left of what was written. */
  async abort(): Promise<void> {
    // Nobody waits for it any more, and it may be closed already.
    this.#digest.digest.catch(() => {});
    await this.#hash.abort().catch(() => {});
    if (this.#uploadId === null) return;
    await this.#call({ method: "DELETE", query: { uploadId: this.#uploadId } });
  }

  async #sendPart(): Promise<void> {
    this.#uploadId ??= await this.#begin();
    const number = this.#parts.length + 1;
    const { headers } = await this.#call({
      method: "PUT",
      query: { partNumber: String(number), uploadId: this.#uploadId },
      body: this.#part.subarray(0, this.#held),
    });
    this.#parts.push({ number, etag: headers.get("etag") ?? "" });
    this.#held = 0;
  }

  async #begin(): Promise<string> {
    const { text } = await this.#call({ method: "POST", query: { uploads: "" } });
    const found = /<UploadId>([^<]+)<\/UploadId>/.exec(text)?.[1];
    if (found === undefined) throw new Error(`object store: no upload id for ${this.#key}`);
    return found;
  }

  async #complete(uploadId: string): Promise<void> {
    const parts = this.#parts.map(
      ({ number, etag }) =>
        `<Part><PartNumber>${number}</PartNumber><ETag>${etag.replaceAll("&", "&amp;")}</ETag></Part>`,
    );
    const body = `<CompleteMultipartUpload>${parts.join("")}</CompleteMultipartUpload>`;
    const { text } = await this.#call({
      method: "POST",
      query: { uploadId },
      body: new TextEncoder().encode(body),
    });
    // It may fail after its status was sent.
    if (text.includes("<Error>"))
      throw new Error(`object store: ${this.#key}: ${text.slice(0, 500)}`);
  }

  async #call(
    call: Omit<StoreCall, "key" | "signal">,
  ): Promise<{ headers: Headers; text: string }> {
    return withTimeout(objectTimeoutMs, async (signal) => {
      const response = await sendToStore(this.#settings, { ...call, key: this.#key, signal });
      const text = await response.text();
      if (response.ok) return { headers: response.headers, text };
      const what = `${call.method} ${this.#key}`;
      throw new Error(
        `object store: ${what} was answered ${response.status}: ${text.slice(0, 500)}`,
      );
    });
  }
}

/** What is not there is deleted already. */
export async function deleteObject(settings: Settings, key: string): Promise<void> {
  const status = await withTimeout(objectTimeoutMs, async (signal) => {
    const response = await sendToStore(settings, { method: "DELETE", key, signal });
    await response.body?.cancel();
    return response.status;
  });
  if (status >= 300 && status !== 404)
    throw new Error(`object store: DELETE ${key} was answered ${status}`);
}
