/**
 * Bodies that callers compressed: `content-encoding: gzip`. How large one is shows only as it is inflated, so its
 * announced length needs no permit by itself: what is not small is inflated under the permit of the largest body, and
 * never past the limit.
 */
import { gunzipSync } from "node:zlib";
import { CodedError } from "#contract/errors.ts";
import { type BodyPermit, smallBodyBytes } from "./body-permit.ts";
import { freeBytes } from "./free-bytes.ts";
import { bodyTooLarge, readBody } from "./request-body.ts";

/** @throws CodedError as `readBody`; `unsupported_content_encoding`; `invalid_json` where the bytes are no gzip */
export async function readDecodedBody(
  request: Request,
  bytesMax: number,
  permit: BodyPermit,
): Promise<Uint8Array> {
  const encoding = request.headers.get("content-encoding")?.trim().toLowerCase() ?? "";
  if (encoding === "" || encoding === "identity") return readBody(request, bytesMax, permit);
  if (encoding !== "gzip") throw unsupported(encoding);
  let acquired = false;
  const acquire = async () => {
    if (!acquired) await permit.acquire(bytesMax);
    acquired = true;
  };
  const packed = await readBody(request, bytesMax, { acquire });
  // Most are small, and wait for nobody.
  const small = acquired ? null : inflate(packed, Math.min(smallBodyBytes, bytesMax));
  if (small !== null) return small;
  await acquire();
  const whole = inflate(packed, bytesMax);
  freeBytes(packed);
  if (whole === null) throw bodyTooLarge(bytesMax);
  return whole;
}

/** @returns null where the bytes stand for more than `bytesMax` @throws CodedError `invalid_json` */
function inflate(packed: Uint8Array, bytesMax: number): Uint8Array | null {
  if (packed.byteLength === 0) return packed;
  try {
    return gunzipSync(packed, { maxOutputLength: bytesMax });
  } catch (cause) {
    if (isOverflow(cause)) return null;
    throw new CodedError(
      "invalid_json",
      "The body is no whole gzip, as its content-encoding says. Compress it again, or send it as it is " +
        "without that header.",
      { cause },
    );
  }
}

/** `maxOutputLength` is exceeded by a RangeError; bytes that are no gzip are not. */
function isOverflow(error: unknown): boolean {
  return error instanceof RangeError;
}

function unsupported(encoding: string): CodedError {
  return new CodedError(
    "unsupported_content_encoding",
    `The content-encoding ${JSON.stringify(encoding.slice(0, 100))} is not read here. Send the body as ` +
      "it is, or as gzip.",
  );
}
