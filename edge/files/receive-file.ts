/**
 * A file on its way from a form to the bucket: its beginning is judged before anything is stored, and no more of it is
 * held than one part of an upload.
 */
import { CodedError } from "#contract/errors.ts";
import type { ObjectReference } from "#contract/object-reference.ts";
import { judgeHead } from "#contract/training/judge-head.ts";
import { trainingLimits } from "#contract/training/limits.ts";
import { type Problem, wordsOfProblem } from "#contract/training/problems.ts";
import type { Settings } from "../environment.ts";
import { ByteSemaphore } from "../http/byte-semaphore.ts";
import { type FormPart, formParts } from "../http/form-parts.ts";
import { ObjectWriter, partBytes } from "../storage/object-writer.ts";

/** So many uploads at once in one isolate, each with a part in its hands and another on its way. */
const uploadsAtOnce = 4;
/** An upload may take so long, and so much longer as more of it has arrived: half a megabit a second. */
const [arrivalMsMin, arrivalBytesPerMs] = [30_000, 64];
const uploadMsMax = arrivalMsMin + trainingLimits.fileBytesMax / arrivalBytesPerMs;
const permits = new ByteSemaphore({
  bytesMax: uploadsAtOnce * 2 * partBytes,
  holdMsMax: uploadMsMax,
  now: () => Date.now(),
});

/** Problems of the beginning that a refusal tells. */
const problemsTold = 5;
const { fileBytesMax, headBytes } = trainingLimits;

export type ReceivedForm = {
  readonly fields: ReadonlyMap<string, string>;
  /** Null: there was none. */
  readonly file: { readonly filename: string; readonly reference: ObjectReference } | null;
};

/** How often it is said that an upload goes on. */
const saidMs = 20_000;

/**
 * @param onGoing is called now and then while it arrives
 * @throws CodedError of what is no form, no data set, or too large: nothing of it is stored then
 */
export async function receiveFile(
  request: Request,
  { settings, key, onGoing }: { settings: Settings; key: string; onGoing: () => void },
): Promise<ReceivedForm> {
  // It may wait for its turn, too.
  const going = setInterval(onGoing, saidMs);
  let release: (() => void) | undefined;
  try {
    release = await permits.acquire(2 * partBytes, request.signal);
    return await receive(request, new Receiver(() => new ObjectWriter(settings, key)));
  } finally {
    clearInterval(going);
    release?.();
  }
}

async function receive(request: Request, form: Receiver): Promise<ReceivedForm> {
  try {
    const startedAt = Date.now();
    let bytes = 0;
    for await (const part of formParts(request)) {
      if (part.kind === "chunk") bytes += part.bytes.byteLength;
      if (isTooSlow(bytes, Date.now() - startedAt)) throw tooSlow();
      await form.take(part);
    }
    return form.received();
  } catch (error) {
    await form.abort();
    throw error;
  }
}

/** So that nobody keeps others from their turn by sending slowly. */
export function isTooSlow(bytes: number, milliseconds: number): boolean {
  return milliseconds > arrivalMsMin + bytes / arrivalBytesPerMs;
}

function tooSlow(): CodedError {
  return new CodedError(
    "request_timeout",
    `The file arrives too slowly: an upload has ${arrivalMsMin / 1_000} s, and a second more for each ` +
      `${arrivalBytesPerMs * 1_000} bytes. Send it faster, or in several files.`,
    { param: "file" },
  );
}

/** What a form holds, as its parts come. */
class Receiver {
  readonly #openWriter: () => ObjectWriter;
  readonly #fields = new Map<string, string>();
  #open: OpenFile | null = null;
  #file: ReceivedForm["file"] = null;

  constructor(openWriter: () => ObjectWriter) {
    this.#openWriter = openWriter;
  }

  async take(part: FormPart): Promise<void> {
    switch (part.kind) {
      case "field":
        return this.#addField(part.name, part.value);
      case "file":
        return this.#begin(part.name, part.filename);
      case "chunk":
        return this.#open?.write(part.bytes);
      case "file-end":
        return this.#end();
    }
  }

  received(): ReceivedForm {
    return { fields: this.#fields, file: this.#file };
  }

  async abort(): Promise<void> {
    await this.#open?.abort();
  }

  #addField(name: string, value: string): void {
    if (this.#fields.has(name)) throw twice(name);
    this.#fields.set(name, value);
  }

  #begin(name: string, filename: string): void {
    if (name !== "file") throw unknownField(name);
    if (this.#open !== null || this.#file !== null) throw twice(name);
    this.#open = new OpenFile(this.#openWriter(), filename);
  }

  async #end(): Promise<void> {
    if (this.#open === null) return;
    this.#file = { filename: this.#open.filename, reference: await this.#open.end() };
    this.#open = null;
  }
}

/** A file that is written to the bucket from when its beginning was judged. */
class OpenFile {
  readonly filename: string;
  readonly #writer: ObjectWriter;
  readonly #head: Uint8Array[] = [];
  #judged = false;

  constructor(writer: ObjectWriter, filename: string) {
    this.#writer = writer;
    this.filename = filename;
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#writer.bytes + chunk.byteLength > fileBytesMax) throw tooLarge();
    await this.#writer.write(chunk);
    if (this.#judged) return;
    this.#head.push(chunk);
    if (this.#writer.bytes >= headBytes) this.#judge(false);
  }

  async end(): Promise<ObjectReference> {
    if (!this.#judged) this.#judge(true);
    return this.#writer.end();
  }

  async abort(): Promise<void> {
    await this.#writer.abort();
  }

  #judge(complete: boolean): void {
    this.#judged = true;
    const head = new Uint8Array(Math.min(headBytes, this.#writer.bytes));
    let at = 0;
    for (const chunk of this.#head.splice(0)) {
      const piece = chunk.subarray(0, head.byteLength - at);
      head.set(piece, at);
      at += piece.byteLength;
    }
    const verdict = judgeHead(head, { name: this.filename, complete });
    if ("problems" in verdict) throw noDataSet(verdict.problems);
  }
}

function twice(name: string): CodedError {
  return new CodedError("invalid_value", `${name} stands twice in the form. Send it once.`, {
    param: name,
  });
}

function unknownField(name: string): CodedError {
  return new CodedError(
    "unknown_parameter",
    `Unknown parameter: ${name}. The file's own field is named file.`,
    { param: name },
  );
}

export function tooLarge(): CodedError {
  return new CodedError(
    "request_too_large",
    `The file is larger than ${fileBytesMax} bytes, the limit of one file. Send fewer examples, or several files.`,
    { param: "file" },
  );
}

function noDataSet(problems: readonly Problem[]): CodedError {
  const told = problems.slice(0, problemsTold).map(wordsOfProblem);
  const more = problems.length - told.length;
  const words = [...told, ...(more > 0 ? [`and ${more} more like these`] : [])].join("; ");
  return new CodedError("invalid_value", `The file is no training data: ${words}.`, {
    param: "file",
  });
}
