/**
 * Errors as callers see them: OpenAI's body everywhere, Hugging Face's on /hf routes, with the headers that keep clients
 * from resending what cannot succeed. Knows the table of codes, no request; nothing here is a 503, which
 * `@huggingface/inference` answers with hundreds of resends.
 */
import { CodedError, type PublicError, errorTable } from "#contract/errors.ts";

export type ErrorShape = "openai" | "hugging-face";

export function shapeOfPath(path: string): ErrorShape {
  return path.startsWith("/hf/") ? "hugging-face" : "openai";
}

/** @param error anything thrown; what is no CodedError becomes internal_error, its own text kept from the caller */
export function toCodedError(error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  return new CodedError(
    "internal_error",
    "Something failed on our side. Send the request again; if it fails again, report its x-request-id.",
    { cause: error },
  );
}

/** The JSON value of an error in OpenAI's form, as it also stands in a job. */
export function openaiError(error: PublicError) {
  const { type } = errorTable[error.code];
  return { message: error.message, type, param: error.param, code: error.code };
}

export function errorBody(error: PublicError, shape: ErrorShape): string {
  const detail = openaiError(error);
  return JSON.stringify(
    shape === "openai"
      ? { error: detail }
      : { error: detail.message, error_type: detail.type, error_detail: detail },
  );
}

/** @param headers further headers, `location` of a 504's job or `allow` of a 405 among them */
export function errorResponse(
  error: PublicError,
  shape: ErrorShape,
  headers: Record<string, string> = {},
): Response {
  const { status, retry } = errorTable[error.code];
  // openai-node resends any 409, 429 and 5xx at once unless told not to.
  const decisive = !retry && (status === 409 || status === 429);
  return new Response(errorBody(error, shape), {
    status,
    headers: {
      "content-type": "application/json; charset=utf-8",
      ...(decisive ? { "x-should-retry": "false" } : {}),
      ...(status === 401 ? { "www-authenticate": "Bearer" } : {}),
      ...headers,
    },
  });
}
