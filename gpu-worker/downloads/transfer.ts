/**
 * Brings one file from an address into a `.partial` file, going on where an earlier try stopped. A note beside the
 * partial says which content it belongs to: the digest expected then and the server's validator, sent as `If-Range`, so
 * that pieces of two versions are never joined. Whether the bytes are right is verified by the caller.
 */
import { open, rm, stat, writeFile } from "node:fs/promises";
import type { Dispatcher } from "undici";
import * as z from "zod";
import { readNote } from "../files/json-file.ts";
import { FetchProblem } from "./fetch-problem.ts";
import { type Answer, call, isRedirect, redirectTarget, sameOrigin } from "./http.ts";

const redirectsMax = 5;

const Note = z.object({ digest: z.string().nullable(), validator: z.string().nullable() });
type Note = z.infer<typeof Note>;

export type Transfer = {
  url: string;
  /** Sent to the origin of `url` alone: a redirect elsewhere gets none of them. */
  headers: Record<string, string>;
  /** Where the bytes gather. */
  partial: string;
  /** Names the content; a partial of another digest is thrown away. */
  digest: string | null;
  dispatcher: Dispatcher;
  signal: AbortSignal;
  /** Bytes of the file that are here, those of earlier tries included. */
  onBytes: (bytes: number) => void;
};

export async function discardPartial(partial: string): Promise<void> {
  await Promise.all([rm(partial, { force: true }), rm(`${partial}.note`, { force: true })]);
}

/** Bytes that can be kept of an earlier try, with the validator they came under. */
async function resumePoint({ partial, digest }: Transfer) {
  const none = { bytes: 0, validator: null };
  const note = await readNote(`${partial}.note`, Note);
  const size = await stat(partial).then(
    (found) => found.size,
    () => 0,
  );
  if (note === null || size === 0) return none;
  const sameContent = note.digest === digest && (digest !== null || note.validator !== null);
  return sameContent ? { bytes: size, validator: note.validator } : none;
}

/** What `If-Range` may carry: a strong entity tag, else the date. */
function validatorOf(answer: Answer): string | null {
  const etag = answer.header("etag");
  if (etag !== null && !etag.startsWith("W/")) return etag;
  return answer.header("last-modified");
}

async function get(task: Transfer, range: Record<string, string>): Promise<Answer> {
  let url = task.url;
  for (let hop = 0; hop <= redirectsMax; hop += 1) {
    const own = sameOrigin(url, task.url) ? task.headers : {};
    const answer = await call({
      method: "GET",
      url,
      headers: { ...own, ...range },
      dispatcher: task.dispatcher,
      signal: task.signal,
    });
    if (!isRedirect(answer.status)) return answer;
    await answer.body.dump();
    url = redirectTarget(answer, url);
  }
  throw new FetchProblem(`its address redirects more than ${redirectsMax} times`, {
    final: true,
  });
}

function startsAt(answer: Answer, offset: number): boolean {
  return new RegExp(`^bytes ${offset}-`).test(answer.header("content-range") ?? "");
}

/** @returns whether bytes of an earlier try were kept. @throws FetchProblem or a network error, the partial kept */
export async function transfer(task: Transfer): Promise<{ resumed: boolean }> {
  const from = await resumePoint(task);
  const range: Record<string, string> = {};
  if (from.bytes > 0) range["range"] = `bytes=${from.bytes}-`;
  if (from.bytes > 0 && from.validator !== null) range["if-range"] = from.validator;
  const answer = await get(task, range);
  const resumed = answer.status === 206 && startsAt(answer, from.bytes);
  if (!resumed && answer.status !== 200) {
    await answer.body.dump();
    // 416: nothing is left after our bytes, or they are of another version. The caller's check decides on a fresh copy.
    if (answer.status === 416 || answer.status === 206) await discardPartial(task.partial);
    const final =
      answer.status >= 400 && answer.status < 500 && ![408, 416, 429].includes(answer.status);
    throw new FetchProblem(`its file server answered ${answer.status}`, { final });
  }
  const note: Note = { digest: task.digest, validator: validatorOf(answer) };
  if (!resumed) await rm(task.partial, { force: true });
  await writeFile(`${task.partial}.note`, JSON.stringify(note));
  await append(task, answer, resumed ? from.bytes : 0);
  return { resumed };
}

/** Each piece is in the file before the next is read, so that a cut connection costs only what was still on its way. */
async function append(task: Transfer, answer: Answer, before: number): Promise<void> {
  const file = await open(task.partial, "a");
  let bytes = before;
  try {
    task.onBytes(bytes);
    for await (const chunk of answer.body) {
      const piece: Uint8Array = chunk;
      await file.write(piece);
      bytes += piece.length;
      task.onBytes(bytes);
    }
  } finally {
    await file.close();
  }
}
