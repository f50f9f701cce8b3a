/** Why a job failed, in words for who asked for it. What they cannot be told goes to the log alone. */
import { CodedError, type PublicError } from "#contract/errors.ts";
import { DataError } from "../training/checked-data.ts";
import { DiskError } from "../training/choose-plan.ts";
import { TuningError } from "../training/tuning-error.ts";
import { translateError } from "../jobs/translate-error.ts";

/** Codes of a disk, or a share of one, that takes no more. */
const diskCodes: readonly unknown[] = ["ENOSPC", "EDQUOT"];

function isDiskFull(error: unknown): boolean {
  if (error instanceof DiskError) return true;
  if (!(error instanceof Error)) return false;
  if ("code" in error && diskCodes.includes(error.code)) return true;
  return error.cause !== undefined && isDiskFull(error.cause);
}

/** Errors name options as the command spells them. */
function asFields(words: string): string {
  return words.replaceAll(/--([a-z][a-z-]*)/g, (_, name: string) => name.replaceAll("-", "_"));
}

export function jobFailure(error: unknown): PublicError {
  if (error instanceof DataError) {
    return new CodedError("invalid_value", error.message, { param: error.param }).toPublic();
  }
  if (error instanceof TuningError) {
    const { param } = error;
    const words = asFields(error.message);
    return new CodedError("invalid_value", words, param === null ? {} : { param }).toPublic();
  }
  if (isDiskFull(error)) {
    return new CodedError(
      "internal_error",
      "The disk of the machine that trains is full. Create the job again later.",
    ).toPublic();
  }
  return translateError(error);
}
