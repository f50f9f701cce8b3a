/**
 * A stored result, opened to be shown: from its text, or as a stream from object storage, of which no more than a chunk
 * is held. Whoever opens one shows it or cancels it.
 */
import type { ObjectReference } from "#contract/object-reference.ts";
import { openResultDocument, ResultHead, resultHeadBytesMax } from "#contract/result-document.ts";
import type { Settings } from "../environment.ts";
import { byteStream } from "../http/byte-stream.ts";
import { freeBytes } from "../http/free-bytes.ts";
import { openObject } from "../storage/object-store.ts";
import type { StoredResult } from "../storage/stored-result.ts";
import { ResultWriter, writeResult } from "./render.ts";
import type { ResultForm } from "./surfaces.ts";

export type OpenResult = {
  head: ResultHead;
  /** Once. A stream that breaks off was not the document that was written. */
  body: (form: ResultForm) => string | ReadableStream<Uint8Array>;
  /** In place of `body`: the outputs, each as the worker wrote it. */
  lines: () => AsyncIterable<string> | Iterable<string>;
  cancel: () => Promise<void>;
};

/** @returns null where the object is gone @throws where object storage fails, or the document is no result */
export async function openResult(
  stored: StoredResult,
  settings: Settings,
): Promise<OpenResult | null> {
  if (stored.kind === "reference") return openDocument(stored.reference, settings);
  const { head, lines } = openResultDocument(stored.document);
  return {
    head,
    body: (form) => writeResult(form, lines),
    lines: () => lines.split("\n").slice(0, -1),
    cancel: async () => {},
  };
}

async function openDocument(
  reference: ObjectReference,
  settings: Settings,
): Promise<OpenResult | null> {
  const chunks = await openObject(settings, reference);
  return chunks === null ? null : openChunks(chunks);
}

/** @param chunks of a document, given away @throws where it is no result */
export async function openChunks(chunks: AsyncGenerator<Uint8Array>): Promise<OpenResult> {
  const cancel = async () => void (await chunks.return(undefined));
  try {
    const { line, rest } = await firstLine(chunks);
    return {
      head: ResultHead.parse(JSON.parse(line)),
      body: (form) => byteStream(showLines(after(rest, chunks), form), cancel),
      lines: () => linesOf(after(rest, chunks)),
      cancel,
    };
  } catch (error) {
    await cancel();
    throw error;
  }
}

async function firstLine(chunks: AsyncGenerator<Uint8Array>) {
  const decoder = new TextDecoder();
  let line = "";
  while (line.length <= resultHeadBytesMax) {
    const { done, value } = await chunks.next();
    if (done) break;
    const end = value.indexOf(0x0a);
    if (end !== -1) {
      line += decoder.decode(value.subarray(0, end));
      return { line, rest: value.subarray(end + 1) };
    }
    line += decoder.decode(value, { stream: true });
  }
  throw new Error("a result document has no first line");
}

async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let begun = "";
  for await (const chunk of chunks) {
    const [first = "", ...others] = decoder.decode(chunk, { stream: true }).split("\n");
    freeBytes(chunk);
    begun += first;
    for (const next of others) {
      yield begun;
      begun = next;
    }
  }
}

async function* after(
  rest: Uint8Array,
  chunks: AsyncGenerator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (rest.byteLength > 0) yield rest;
  yield* chunks;
}

/** @param lines in chunks that may end anywhere; they are given away, and freed */
export async function* showLines(
  lines: AsyncIterable<Uint8Array>,
  form: ResultForm,
): AsyncGenerator<Uint8Array> {
  const writer = new ResultWriter(form);
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  yield encoder.encode(writer.begin());
  for await (const chunk of lines) {
    const text = decoder.decode(chunk, { stream: true });
    freeBytes(chunk);
    yield encoder.encode(writer.push(text));
  }
  yield encoder.encode(writer.end());
}
