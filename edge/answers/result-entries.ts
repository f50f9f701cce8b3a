/** What the events of a computation had not told when its result came: the rest of it, read line by line. */
import type { PublicError } from "#contract/errors.ts";
import { openResultDocument, type ResultHead } from "#contract/result-document.ts";
import { taskTable } from "#contract/task-table.ts";
import { Generation } from "#contract/tasks/generation.ts";
import type { Settings } from "../environment.ts";
import type { StoredResult } from "../storage/stored-result.ts";
import { openResult } from "./read-result.ts";
import type { StreamEntry } from "./stream-entry.ts";
import { piecesOf, type Told } from "./told-pieces.ts";
import type { Transcript } from "./transcript.ts";

/** Other text than was told: nothing that follows could be trusted. */
export const toldOtherwise: PublicError = {
  code: "worker_lost",
  message:
    "The worker that wrote this was lost, and another wrote something else. Send the request again.",
  param: null,
};

/** What was told before it ended, once more. @param told grows by it */
export function* toldAgain(
  { started, cuts, outputs }: Told,
  end: StoredResult | null,
  told: Transcript,
): Generator<StreamEntry> {
  if (started) yield { kind: "started" };
  const { made, written } = writtenUntil(end, cuts === "" ? [] : outputs);
  for (const piece of piecesOf(cuts, written)) {
    if (told.take(piece).kind !== "told") return;
    const { text = "" } = written[piece.input]?.choices[piece.choice] ?? {};
    const textSoFar = () => text.slice(0, piece.textFrom + piece.text.length);
    yield { kind: "piece", piece, made, textSoFar };
  }
}

function writtenUntil(end: StoredResult | null, outputs: readonly Generation[] | null) {
  if (end?.kind !== "inline" || outputs !== null) {
    return { made: { model: "", modelDigest: "" }, written: outputs ?? [] };
  }
  const { head, lines } = openResultDocument(end.document);
  const written = lines.split("\n").slice(0, -1);
  return { made: head, written: written.map((line) => Generation.parse(JSON.parse(line))) };
}

/** @param told what was told before @returns the last is the end, or an error */
export async function* restOfResult(
  stored: StoredResult,
  told: Transcript,
  settings: Settings,
): AsyncGenerator<StreamEntry> {
  const open = await openResult(stored, settings);
  if (open === null) return yield { kind: "error", error: resultGone };
  const { head } = open;
  if (told.isWhole(head.usage.completionTokens)) {
    await open.cancel();
    return yield { kind: "end", result: head };
  }
  let index = 0;
  for await (const line of open.lines()) {
    const entries = entriesOf(line, index, head, told);
    if (entries === null) return yield { kind: "error", error: toldOtherwise };
    yield* entries;
    index += 1;
  }
  yield { kind: "end", result: head };
}

function entriesOf(
  line: string,
  index: number,
  head: ResultHead,
  told: Transcript,
): StreamEntry[] | null {
  if (taskTable[head.task].makes === undefined) {
    return [{ kind: "output", result: head, index, output: line }];
  }
  const generation = Generation.parse(JSON.parse(line));
  const pieces = told.rest(index, generation);
  if (pieces === null) return null;
  const { model, modelDigest } = head;
  return pieces.map((piece) => {
    const { text = "" } = generation.choices[piece.choice] ?? {};
    const textSoFar = () => text.slice(0, piece.textFrom + piece.text.length);
    return { kind: "piece", piece, made: { model, modelDigest }, textSoFar };
  });
}

const resultGone: PublicError = {
  code: "not_found",
  message: "The result of this job is gone: results are kept for a day. Send the request again.",
  param: null,
};
