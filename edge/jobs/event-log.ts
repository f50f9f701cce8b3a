/**
 * What happened to one computation, in order and numbered from 1: that it started, its progress, what was generated.
 * Whoever reads it begins where they like and is woken when it grows. It is bounded in bytes: the oldest entries go
 * first, and a reader that wants one of those is told so. Its end is kept beside the entries; what a result holds
 * beyond them is read from the result, numbered on.
 */
import type { TokensEvent } from "#contract/events.ts";
import type { StreamEntry } from "../answers/stream-entry.ts";
import { cutOf, type Told, toldCharactersMax, writtenBy } from "../answers/told-pieces.ts";
import { Transcript } from "../answers/transcript.ts";
import type { Outcome } from "./job-rows.ts";

const bytesMax = 2 * 1024 * 1024;
const entryOverheadBytes = 300;
/** Of a token's log probability, and of each alternative beside it. */
const logprobBytes = 150;
/** Of a call beside what its arguments grew by. */
const callBytes = 200;

type Kept = {
  entry: StreamEntry;
  /** Of all entries up to this one, since the log began. */
  until: number;
};

export class EventLog {
  readonly transcript = new Transcript();
  /** How all of it was told before, where that is known of one that holds nothing but its end. */
  readonly before: Told | null;
  #isRest: boolean;
  /** Null: too long, or not of pieces alone. */
  #cuts: string | null = "";
  #entries: Kept[] = [];
  #firstId = 1;
  #bytes = 0;
  #dropped = 0;
  #end: Outcome | null = null;
  /** Something was left out, and is told by the result alone. */
  #hasGap = false;
  #hasPiece = false;
  #wasRead = false;
  readonly #listeners = new Set<() => void>();

  /** @param isRest of a computation that was under way before */
  constructor(isRest = false, before: Told | null = null) {
    this.#isRest = isRest;
    this.before = before;
  }

  /** What stood before it is not known: another object had it. */
  get isRest(): boolean {
    return this.#isRest;
  }

  /** How it was told, for who tells it again; null: that is not known, or too long. */
  get told(): Told | null {
    if (this.#isRest || this.#cuts === null) return null;
    const told = { started: this.lastId > 0, cuts: this.#cuts, outputs: null };
    if (this.#end?.status === "succeeded") return told;
    if (this.#firstId > 1) return null;
    const pieces = this.#entries.flatMap(({ entry }) =>
      entry.kind === "piece" ? [entry.piece] : [],
    );
    const outputs = writtenBy(pieces);
    return JSON.stringify(outputs).length > toldCharactersMax ? null : { ...told, outputs };
  }

  get firstId(): number {
    return this.#firstId;
  }

  get lastId(): number {
    return this.#firstId + this.#entries.length - 1;
  }

  get end(): Outcome | null {
    return this.#end;
  }

  /** Whether there is anything to answer a caller with: a piece, or the end. */
  get hasAnswer(): boolean {
    return this.#end !== null || this.#hasPiece;
  }

  get hasPiece(): boolean {
    return this.#hasPiece;
  }

  /** Somebody reads it, or did, and may come back. */
  get wasRead(): boolean {
    return this.#wasRead;
  }

  /** Of memory that it holds, about. */
  get bytesHeld(): number {
    const held = this.#end?.status === "succeeded" ? this.#end.result : null;
    const document = held?.kind === "inline" ? held.document.length : 0;
    return this.#bytes - this.#dropped + document + entryOverheadBytes;
  }

  at(id: number): StreamEntry | undefined {
    return this.#entries[id - this.#firstId]?.entry;
  }

  /** How much was added after an entry. */
  bytesAfter(id: number): number {
    const until = this.#entries[id - this.#firstId]?.until ?? this.#dropped;
    return this.#bytes - until;
  }

  append(entry: Extract<StreamEntry, { kind: "started" | "progress" }>): void {
    if (entry.kind === "progress") this.#cuts = null;
    this.#add(entry, entryOverheadBytes);
    this.#wake();
  }

  /**
   * Whether its worker tells all of it again. Another that begins it afresh numbers its events from a later time.
   * @param heard number of the last event that is known
   */
  isBegunBy(event: Pick<TokensEvent, "pieces" | "sequence">, heard: number): boolean {
    const [first] = event.pieces;
    const isFirst = first?.from === 0 && first.textFrom === 0 && event.sequence <= heard + 1;
    return this.#isRest && !this.#hasPiece && isFirst;
  }

  /** All that was told before is told again, from its beginning on. */
  beginAnew(): void {
    this.#isRest = false;
    this.#hasGap = false;
    if (this.lastId === 0) this.append({ kind: "started" });
  }

  /** @returns false where a worker says something else than was told before */
  tell({ pieces, model, modelDigest }: Pick<TokensEvent, "pieces" | "model" | "modelDigest">) {
    const made = { model, modelDigest };
    for (const each of pieces) {
      if (this.#hasGap) break;
      const taken = this.transcript.take(each);
      if (taken.kind === "differs") return false;
      if (taken.kind === "gap") this.#hasGap = true;
      if (taken.kind !== "told") continue;
      const { piece } = taken;
      this.#hasPiece = true;
      this.#cut(cutOf(piece));
      const textSoFar = () => this.transcript.textUpTo(piece);
      this.#add({ kind: "piece", piece, made, textSoFar }, bytesOf(piece));
    }
    this.#wake();
    return true;
  }

  finish(end: Outcome): void {
    this.#end = end;
    this.#wake();
  }

  /** @param listener called whenever it has grown @returns what ends that */
  listen(listener: () => void): () => void {
    this.#wasRead = true;
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #cut(cut: string): void {
    if (this.#cuts === null) return;
    const cuts = this.#cuts === "" ? cut : `${this.#cuts} ${cut}`;
    this.#cuts = cuts.length > toldCharactersMax ? null : cuts;
  }

  #add(entry: StreamEntry, bytes: number): void {
    this.#bytes += bytes;
    this.#entries.push({ entry, until: this.#bytes });
    let surplus = 0;
    while (this.#bytes - this.#dropped > bytesMax) {
      this.#dropped = this.#entries[surplus]?.until ?? this.#bytes;
      surplus += 1;
    }
    if (surplus === 0) return;
    this.#entries.splice(0, surplus);
    this.#firstId += surplus;
  }

  #wake(): void {
    for (const listener of this.#listeners) listener();
  }
}

/**
 * A log of nothing but its end: of a job whose events are gone, or a result that was there already.
 * @param before null: how it was told is not known
 */
export function endedLog(end: Outcome, before: Told | null): EventLog {
  // One that is read line by line is not cut as it was told.
  const isApart = end.status === "succeeded" && end.result.kind === "reference";
  const known = isApart && before?.cuts !== "" ? null : before;
  const log = new EventLog(known === null, known);
  log.finish(end);
  return log;
}

function bytesOf(piece: TokensEvent["pieces"][number]): number {
  const { text, logprobs = [], toolCalls = [] } = piece;
  const shown = logprobs.reduce((sum, { top }) => sum + 1 + top.length, 0);
  const called = toolCalls.reduce((sum, call) => sum + callBytes + call.arguments.length, 0);
  return entryOverheadBytes + text.length + called + shown * logprobBytes;
}
