/**
 * Reads a request's body without ever holding more of it than the limit, in its turn where it is not small, and as text
 * and JSON that are really such. What the JSON must look like is validation.ts's.
 */
import { CodedError } from "#contract/errors.ts";
import { type BodyPermit, smallBodyBytes } from "./body-permit.ts";
import { withTimeout } from "./with-timeout.ts";

/**
 * Of a body that is refused as too large, up to this much is read and thrown away, so that a client which writes before
 * it reads gets its answer instead of a broken connection.
 */
const discardedBytesMax = 128 * 1024 * 1024;
const discardedChunkBytes = 1024 * 1024;
const collectedChunkBytes = 64 * 1024;

/** A body for which a permit is held must arrive within this, and so much longer as it is large. */
const arrivalMsMin = 5_000;
const arrivalBytesPerMs = 512;

type Permit = Pick<BodyPermit, "acquire">;

/**
 * @param permit acquired before more than a small body is held; without one, what arrives is held at once
 * @throws CodedError `request_too_large`, `request_timeout`
 */
export async function readBody(
  request: Request,
  bytesMax: number,
  permit: Permit | null = null,
): Promise<Uint8Array> {
  const announced = Number(request.headers.get("content-length") ?? Number.NaN);
  if (announced <= bytesMax) return readAnnounced(request, announced, permit);
  if (request.body === null) return new Uint8Array();
  const reader = request.body.getReader({ mode: "byob" });
  const whole = announced > bytesMax ? null : await collectAll(reader, bytesMax, permit);
  if (whole !== null) return whole;
  await discardRest(reader);
  throw bodyTooLarge(bytesMax);
}

export function bodyTooLarge(bytesMax: number): CodedError {
  return new CodedError(
    "request_too_large",
    `The body is larger than ${bytesMax} bytes, the limit of one request. Send the inputs in several requests.`,
  );
}

async function readAnnounced(
  request: Request,
  bytes: number,
  permit: Permit | null,
): Promise<Uint8Array> {
  if (permit === null || bytes <= smallBodyBytes)
    return new Uint8Array(await request.arrayBuffer());
  await permit.acquire(bytes);
  return new Uint8Array(await inTime(bytes, request.arrayBuffer()));
}

/** Of a body that does not say how large it is. @returns null where it is larger than `bytesMax` */
async function collectAll(
  reader: ReadableStreamBYOBReader,
  bytesMax: number,
  permit: Permit | null,
): Promise<Uint8Array | null> {
  const chunks: Uint8Array[] = [];
  const smallMax = Math.min(smallBodyBytes, bytesMax);
  if (await collect(reader, chunks, smallMax)) return joined(chunks);
  if (bytesMax === smallMax) return null;
  await permit?.acquire(bytesMax);
  const rest = collect(reader, chunks, bytesMax);
  return (await (permit === null ? rest : inTime(bytesMax, rest))) ? joined(chunks) : null;
}

/** So that nobody keeps others from their permit by sending slowly. @throws CodedError `request_timeout` */
async function inTime<T>(bytes: number, arrival: Promise<T>): Promise<T> {
  const milliseconds = Math.round(arrivalMsMin + bytes / arrivalBytesPerMs);
  const late = new CodedError(
    "request_timeout",
    `The body did not arrive within ${Math.round(milliseconds / 1_000)} s. Send it faster, or less at once.`,
  );
  return withTimeout(
    milliseconds,
    (signal) =>
      new Promise((resolve, reject) => {
        signal.addEventListener("abort", () => reject(late));
        arrival.then(resolve, reject);
      }),
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

/**
 * @returns whether the body has ended; false once `chunks` hold more than `bytesMax`, and the rest is still in the
 * reader
 */
async function collect(
  reader: ReadableStreamBYOBReader,
  chunks: Uint8Array[],
  bytesMax: number,
): Promise<boolean> {
  let bytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  while (bytes <= bytesMax) {
    // Filled whole: a chunk of one byte would take as much memory.
    const buffer = new Uint8Array(collectedChunkBytes);
    const { done, value } = await reader.readAtLeast(buffer.byteLength, buffer);
    if (value !== undefined) {
      chunks.push(value);
      bytes += value.byteLength;
    }
    if (done) return bytes <= bytesMax;
  }
  return false;
}

/** Reads what nobody reads of a refused request's body, and throws it away. */
export async function discardBody(request: Request): Promise<void> {
  if (request.body === null || request.bodyUsed) return;
  try {
    await discardRest(request.body.getReader({ mode: "byob" }));
  } catch (error) {
    // The caller has gone: there is nobody to answer.
    console.warn(JSON.stringify({ event: "request.body_broken", reason: String(error) }));
  }
}

/** In one buffer that is handed back and forth, and filled whole: a read costs more than the bytes in it. */
export async function discardRest(reader: ReadableStreamBYOBReader): Promise<void> {
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
