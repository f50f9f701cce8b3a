/**
 * Why a model could not be brought up, in words for callers: what stays until its files change is told from what may
 * pass. No path and no address of this machine is in them; the whole error is the cause, for the log.
 */
import { CodedError } from "#contract/errors.ts";
import { publicWords } from "../downloads/public-words.ts";

/** A failure that the next try may not meet. Its message completes "the model cannot be served: …". */
export class PassingFailure extends Error {}

/** @param error what was thrown while the model's files were found, fetched, read or loaded */
export function modelFailure(id: string, error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  const code = mayPass(error) ? "model_unavailable" : "model_not_servable";
  const message = `The model ${id} cannot be served: ${publicWords(wordsOf(error))}`;
  return new CodedError(code, message, { param: "model", cause: error });
}

/** Whether the failure is of this machine at this time: its disk, its memory, its device. */
function mayPass(error: unknown): boolean {
  if (error instanceof PassingFailure || systemCodeOf(error) !== null) return true;
  return error instanceof Error && lackOfMemory.test(error.message);
}

const lackOfMemory =
  /bad_alloc|failed to allocate|allocation failed|out of memory|\bcu(da|dnn|blas)/i;

/** As the operating system names what went wrong, `ENOSPC`; null where it had no part in it. */
function systemCodeOf(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  if ("code" in error && typeof error.code === "string" && /^E[A-Z0-9]+$/.test(error.code)) {
    return error.code;
  }
  return systemCodeOf(error.cause);
}

function wordsOf(error: unknown): string {
  const code = systemCodeOf(error);
  if (code !== null) return `its files cannot be read or written here (${code})`;
  return error instanceof Error ? error.message : String(error);
}
