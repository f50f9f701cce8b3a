/** What the events of a computation had not told when its result came: the rest of it, read line by line. */
import type { PublicError } from "#contract/errors.ts";
import type { ResultHead } from "#contract/result-document.ts";
import { taskTable } from "#contract/task-table.ts";
import { Generation } from "#contract/tasks/generation.ts";
import type { Settings } from "../environment.ts";
import type { StoredResult } from "../storage/stored-result.ts";
import { openResult } from "./read-result.ts";
import type { StreamEntry } from "./stream-entry.ts";
import type { Transcript } from "./transcript.ts";

/** Other text than was told: nothing that follows could be trusted. */
export const toldOtherwise: PublicError = {
  code: "worker_lost",
  message:
    "The worker that wrote this was lost, and another wrote something else. Send the request again.",
  param: null,
};

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
