/**
 * A log, read by one caller as server-sent events. Nothing is held for a reader but what it is being given: the log is
 * the buffer, and one that lets it run ahead by more than a bound counts as gone. A reader is told how a computation
 * ended, whatever became of it: a stream that merely closes would read as success.
 */
import type { PublicError } from "#contract/errors.ts";
import { restOfResult, toldAgain } from "../answers/result-entries.ts";
import type { StreamEntry } from "../answers/stream-entry.ts";
import { commentText, type StreamRenderer } from "../answers/stream-surfaces.ts";
import { Transcript } from "../answers/transcript.ts";
import type { Settings } from "../environment.ts";
import type { EventLog } from "./event-log.ts";

const behindBytesMax = 256 * 1024;
/** What is written at once. */
const writeCharactersMax = 16_384;
const commentIntervalMs = 5_000;
const silentIntervalsMax = 3;
/** A reader that takes nothing for so long has gone. */
const stuckIntervalsMax = 12;

export type Reading = {
  log: EventLog;
  renderer: StreamRenderer;
  /** Number of the last entry that the reader has, or of events where its surface numbers them; 0: it has none. */
  after: number;
  /** Where the whole result can be asked for, for a reader that comes too late. */
  whereResult: string;
  settings: Settings;
  /** What a reader is told while nothing happens; null: nothing. */
  waiting: () => string | null;
  /** The reader has left, or is so far behind that it counts as gone. */
  onGone: () => void;
};

export class EventStream {
  readonly readable: ReadableStream;
  readonly #reading: Reading;
  readonly #writer: WritableStreamDefaultWriter;
  readonly #encoder = new TextEncoder();
  /** Number of the last entry written, or being written. */
  #cursor: number;
  #caughtUp = false;
  #comment = "";
  #silentIntervals = 0;
  #isWriting = false;
  #wake = () => {};

  constructor(reading: Reading) {
    const { readable, writable } = new IdentityTransformStream();
    this.readable = readable;
    this.#writer = writable.getWriter();
    this.#reading = reading;
    this.#cursor = this.#from;
    const unlisten = reading.log.listen(() => this.#grow());
    const comments = setInterval(() => this.#tick(), commentIntervalMs);
    this.#comment = reading.log.hasAnswer ? "" : commentText(reading.waiting() ?? "waiting");
    void this.#run().finally(() => {
      clearInterval(comments);
      unlisten();
    });
  }

  /** Number of the last entry that is not shown. */
  get #from(): number {
    const { renderer, after } = this.#reading;
    return renderer.startsOver ? 0 : after;
  }

  async #run(): Promise<void> {
    try {
      await this.#write(this.#reading.renderer.begin());
      if (await this.#tellEntries()) await this.#tellEnd();
      await this.#writer.close();
    } catch {
      this.#reading.onGone();
    }
  }

  /** Whether what the reader wants next is there no more. A log of the rest may be told anew from its beginning. */
  #isLost(): boolean {
    const { log, after, renderer } = this.#reading;
    if (this.#cursor + 1 < log.firstId) return true;
    if (!log.isRest || after === 0) return false;
    if (log.end === null) return log.hasPiece;
    return log.end.status === "succeeded" || !renderer.startsOver;
  }

  /** @returns false where some were dropped before they were told, and that was said instead */
  async #tellEntries(): Promise<boolean> {
    const { log } = this.#reading;
    for (;;) {
      if (this.#isLost()) {
        await this.#write(this.#show(lostEntry(this.#reading.whereResult)));
        return false;
      }
      const text = this.#comment + this.#next();
      this.#comment = "";
      if (text !== "") await this.#write(text);
      else if (this.#cursor >= log.lastId && log.end !== null) return true;
      else if (this.#cursor >= log.lastId) await this.#grown();
    }
  }

  #next(): string {
    let text = "";
    while (text.length < writeCharactersMax) {
      const entry = this.#reading.log.at(this.#cursor + 1);
      if (entry === undefined) break;
      this.#cursor += 1;
      text += this.#reading.renderer.show(entry, this.#cursor);
    }
    return text;
  }

  async #tellEnd(): Promise<void> {
    const { log, renderer, settings } = this.#reading;
    const after = this.#from;
    let id = log.lastId;
    try {
      for await (const entry of endEntries(log, settings)) {
        id += 1;
        if (id > after) await this.#write(renderer.show(entry, id));
      }
      if (id < after) await this.#write(this.#show(lostEntry(this.#reading.whereResult)));
    } catch (error) {
      if (error instanceof Gone) throw error;
      console.error(JSON.stringify({ event: "stream.result_unread", reason: String(error) }));
      await this.#write(renderer.show({ kind: "error", error: unreadable }, id + 1));
    }
  }

  #show(entry: StreamEntry): string {
    return this.#reading.renderer.show(entry, this.#reading.log.lastId + 1);
  }

  async #write(text: string): Promise<void> {
    if (text === "") return;
    this.#silentIntervals = 0;
    this.#isWriting = true;
    try {
      await this.#writer.write(this.#encoder.encode(text));
      this.#isWriting = false;
    } catch (error) {
      throw new Gone("the reader has left", { cause: error });
    }
  }

  /** Resolves when there is more to say. */
  #grown(): Promise<void> {
    this.#caughtUp = true;
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #grow(): void {
    this.#wake();
    if (this.#caughtUp && this.#reading.log.bytesAfter(this.#cursor) > behindBytesMax) this.#drop();
  }

  #drop(): void {
    this.#reading.onGone();
    this.#writer.abort(new Gone("the reader is too far behind")).catch(() => {});
  }

  #tick(): void {
    this.#silentIntervals += 1;
    if (this.#isWriting)
      return this.#silentIntervals > stuckIntervalsMax ? this.#drop() : undefined;
    const waiting = this.#reading.waiting();
    const silent = this.#silentIntervals >= silentIntervalsMax;
    if (waiting === null && !silent) return;
    this.#comment = commentText(waiting ?? "keep-alive");
    this.#wake();
  }
}

class Gone extends Error {}

async function* endEntries(log: EventLog, settings: Settings): AsyncGenerator<StreamEntry> {
  const { end, before, isRest: isLate } = log;
  const result = end?.status === "succeeded" ? end.result : null;
  const transcript = before === null ? log.transcript : new Transcript();
  if (before !== null) yield* toldAgain(before, result, transcript);
  if (result !== null) yield* restOfResult(result, transcript, settings);
  else if (end?.status === "failed") {
    yield { kind: "error", error: end.error, outcome: "failed", isLate };
  } else yield { kind: "error", error: canceled, outcome: "canceled", isLate };
}

function lostEntry(whereResult: string): StreamEntry {
  const message = `The events that follow the last one received are gone. ${whereResult}`;
  return { kind: "error", error: { code: "not_found", message, param: null } };
}

const canceled: PublicError = {
  code: "not_found",
  message: "The job was cancelled before it was finished.",
  param: null,
};

const unreadable: PublicError = {
  code: "internal_error",
  message: "The rest of the result could not be read. Send the request again.",
  param: null,
};
