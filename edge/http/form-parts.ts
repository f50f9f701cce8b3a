/**
 * The parts of a body of multipart/form-data (RFC 7578) as they arrive, so that a file passes through without being
 * held. What the fields mean is the route's.
 */
import { CodedError } from "#contract/errors.ts";
import { make, type MultipartError } from "multipasta";
import { discardRest } from "./request-body.ts";
import { withTimeout } from "./with-timeout.ts";

const chunkBytes = 64 * 1024;
const partsMax = 20;
const fieldBytesMax = 10_000;
/** Between two chunks. */
const idleMsMax = 30_000;
/** What is left of a refused body is read for so long. */
const discardMsMax = 10_000;

export type FormPart =
  | { readonly kind: "field"; readonly name: string; readonly value: string }
  /** A file begins; its bytes follow in chunks, and then its end. */
  | { readonly kind: "file"; readonly name: string; readonly filename: string }
  | { readonly kind: "chunk"; readonly bytes: Uint8Array }
  | { readonly kind: "file-end" };

function malformed(reason: string, cause?: unknown): CodedError {
  return new CodedError(
    "invalid_value",
    `The body is no multipart/form-data: ${reason}. Send the fields and the file as a form, as curl -F does.`,
    { cause },
  );
}

function errorOf(error: MultipartError): CodedError {
  // oxlint-disable-next-line no-underscore-dangle -- multipasta's own name
  switch (error._tag) {
    case "InvalidBoundary":
      return malformed("its content-type is not multipart/form-data with a boundary");
    case "BadHeaders":
      return malformed("a part's headers cannot be read");
    case "InvalidDisposition":
      return malformed("a part has no name");
    case "EndNotReached":
      return malformed("it ends before its last boundary");
    case "ReachedLimit":
      return malformed(
        error.limit === "MaxParts"
          ? `it has more than ${partsMax} parts`
          : `a field has more than ${fieldBytesMax} bytes`,
      );
  }
}

/** @throws CodedError `invalid_value` for what is no such body, at the part that is at fault */
export async function* formParts(request: Request): AsyncGenerator<FormPart> {
  const found: FormPart[] = [];
  const failures: CodedError[] = [];
  const type = request.headers.get("content-type") ?? "";
  if (!/^multipart\/form-data\s*(;|$)/i.test(type) || request.body === null) {
    throw errorOf({ _tag: "InvalidBoundary" });
  }
  const parser = make({
    headers: { "content-type": type },
    isFile: ({ filename }) => filename !== undefined,
    maxParts: partsMax,
    maxFieldSize: fieldBytesMax,
    onField: ({ name }, value) =>
      found.push({ kind: "field", name, value: new TextDecoder().decode(value) }),
    onFile: ({ name, filename = "" }) => {
      found.push({ kind: "file", name, filename });
      return (bytes) =>
        found.push(bytes === null ? { kind: "file-end" } : { kind: "chunk", bytes });
    },
    onError: (error) => failures.push(errorOf(error)),
    onDone: () => undefined,
  });
  const feed = (chunk: Uint8Array | null) => {
    try {
      if (chunk === null) parser.end();
      else parser.write(chunk);
    } catch (cause) {
      throw malformed("a part's headers cannot be read", cause);
    }
    const [failure] = failures;
    if (failure !== undefined) throw failure;
  };
  const reader = request.body.getReader({ mode: "byob" });
  let over = false;
  try {
    while (!over) {
      const { done, value } = await nextChunk(reader);
      if (value !== undefined && value.byteLength > 0) feed(value);
      if (done) feed(null);
      over = done;
      yield* found.splice(0);
    }
  } finally {
    if (!over) await discardInTime(reader);
  }
}

/** A client that writes before it reads gets its answer; one that writes slowly is not waited for. */
async function discardInTime(reader: ReadableStreamBYOBReader): Promise<void> {
  await withTimeout(discardMsMax, (signal) => {
    signal.addEventListener("abort", () => void reader.cancel().catch(() => {}));
    return discardRest(reader);
  }).catch(() => {});
}

/** In a buffer of its own each time: the parser keeps pieces of it. @throws CodedError `request_timeout` */
function nextChunk(reader: ReadableStreamBYOBReader) {
  const late = new CodedError(
    "request_timeout",
    `Nothing of the body arrived for ${idleMsMax / 1_000} s. Send it again, without a pause.`,
  );
  return withTimeout(idleMsMax, (signal) => {
    const { promise, resolve, reject } =
      Promise.withResolvers<ReadableStreamReadResult<Uint8Array>>();
    signal.addEventListener("abort", () => reject(late));
    reader.readAtLeast(1, new Uint8Array(chunkBytes)).then(resolve, reject);
    return promise;
  });
}
