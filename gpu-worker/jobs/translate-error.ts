/** The one place where what went wrong becomes what a caller is told. The private reason goes to the log, not to him. */
import { CodedError, type PublicError } from "#contract/errors.ts";

export function translateError(error: unknown): PublicError {
  if (error instanceof CodedError) return error.toPublic();
  return {
    code: "internal_error",
    message: "The job failed for a reason on our side. It is safe to send the request again.",
    param: null,
  };
}
