/** The one place where an error becomes what a caller is told. Its private cause goes to the log only. */
import { CodedError, type PublicError } from "#contract/errors.ts";

export function translateError(error: unknown): PublicError {
  if (error instanceof CodedError) return error.toPublic();
  return {
    code: "internal_error",
    message: "The job failed for a reason on our side. It is safe to send the request again.",
    param: null,
  };
}
