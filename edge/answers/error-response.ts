/**
 * Errors as answers, with the headers that keep clients from resending what cannot succeed. Nothing here is a 503,
 * which `@huggingface/inference` answers with hundreds of resends.
 */
import { CodedError, type PublicError, errorTable } from "#contract/errors.ts";
import { errorFormAt } from "./surfaces.ts";

/** @param error anything thrown; what is no CodedError becomes internal_error, its own text kept from the caller */
export function toCodedError(error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  return new CodedError(
    "internal_error",
    "Something failed on our side. Send the request again; if it fails again, report its x-request-id.",
    { cause: error },
  );
}

/**
 * @param path of the call, whose surface words the error
 * @param headers further headers, `location` of a 504's job or `allow` of a 405 among them
 */
export function errorResponse(
  error: PublicError,
  path: string,
  headers: Record<string, string> = {},
): Response {
  const { status, retry } = errorTable[error.code];
  // openai-node resends any 409, 429 and 5xx at once unless told not to.
  const decisive = !retry && (status === 409 || status === 429);
  return Response.json(errorFormAt(path).body(error), {
    status,
    headers: {
      "content-type": "application/json; charset=utf-8",
      ...(decisive ? { "x-should-retry": "false" } : {}),
      ...(status === 401 ? { "www-authenticate": "Bearer" } : {}),
      ...headers,
    },
  });
}
