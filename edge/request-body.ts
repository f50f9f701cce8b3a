/**
 * Reads a request's body without ever holding more of it than the limit, and as text and JSON that are really such.
 * What the JSON must look like is validation.ts's.
 */
import { CodedError } from "#contract/errors.ts";

/**
 * Of a body that is refused as too large, up to this much is read and thrown away, so that a client which writes before
 * it reads gets its answer instead of a broken connection.
 */
const discardedBytesMax = 128 * 1024 * 1024;
const discardedChunkBytes = 1024 * 1024;
const collectedChunkBytes = 64 * 1024;

/** @throws CodedError `request_too_large` */
export async function readBody(request: Request, bytesMax: number): Promise<Uint8Array> {
  const announced = Number(request.headers.get("content-length") ?? Number.NaN);
  if (announced <= bytesMax) return new Uint8Array(await request.arrayBuffer());
  if (request.body === null) return new Uint8Array();
  const reader = request.body.getReader({ mode: "byob" });
  const chunks = announced > bytesMax ? null : await collect(reader, bytesMax);
  if (chunks !== null) return joined(chunks);
  await discard(reader);
  throw new CodedError(
    "request_too_large",
    `The body is larger than ${bytesMax} bytes, the limit of one request. Send the inputs in several requests.`,
  );
}

/** @throws CodedError `invalid_json` where the bytes are no UTF-8 */
export function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch (cause) {
    throw new CodedError(
      "invalid_json",
      "The body is not valid UTF-8. Encode it as UTF-8: JSON has no other encoding.",
      { cause },
    );
  }
}

/** @throws CodedError `invalid_json` */
export function parseJson(text: string): unknown {
  if (text.trim() === "") {
    throw new CodedError("invalid_json", "The request has no body. Send a JSON object.");
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : "unreadable";
    throw new CodedError(
      "invalid_json",
      `The body is not valid JSON: ${reason}. Send a JSON object.`,
      {
        cause,
      },
    );
  }
}

/** @returns null once the body has passed `bytesMax`; the rest of it is still in the reader */
async function collect(
  reader: ReadableStreamBYOBReader,
  bytesMax: number,
): Promise<Uint8Array[] | null> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.readAtLeast(1, new Uint8Array(collectedChunkBytes));
    if (done || value === undefined) return chunks;
    bytes += value.byteLength;
    if (bytes > bytesMax) return null;
    chunks.push(value);
  }
}

/** Reads what nobody reads of a refused request's body, and throws it away. */
export async function discardBody(request: Request): Promise<void> {
  if (request.body === null || request.bodyUsed) return;
  try {
    await discard(request.body.getReader({ mode: "byob" }));
  } catch (error) {
    // The caller has gone: there is nobody to answer.
    console.warn(JSON.stringify({ event: "request.body_broken", reason: String(error) }));
  }
}

/** In one buffer that is handed back and forth, and filled whole: a read costs more than the bytes in it. */
async function discard(reader: ReadableStreamBYOBReader): Promise<void> {
  let buffer = new Uint8Array(discardedChunkBytes);
  for (let bytes = 0; bytes < discardedBytesMax;) {
    const { done, value } = await reader.readAtLeast(buffer.byteLength, buffer);
    if (done || value === undefined) return;
    bytes += value.byteLength;
    buffer = new Uint8Array(value.buffer);
  }
  await reader.cancel();
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}
