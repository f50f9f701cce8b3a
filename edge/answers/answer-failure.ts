/** The one place of the edge where what was thrown, or never routed, becomes an answer. */
import type { ErrorHandler, NotFoundHandler } from "hono";
import { CodedError } from "#contract/errors.ts";
import type { EdgeContext, EdgeEnv } from "../context.ts";
import { errorResponse, toCodedError } from "./error-response.ts";

export const answerFailure: ErrorHandler<EdgeEnv> = (thrown, c) => {
  return answer(c, toCodedError(thrown));
};

export const answerUnknownUrl: NotFoundHandler<EdgeEnv> = (c) => {
  const error = new CodedError(
    "unknown_url",
    `There is nothing at ${c.req.method} ${c.req.path.slice(0, 200)}. GET /openapi.json lists what there is.`,
  );
  return answer(c, error);
};

/** @param allowed the methods that the address of the call knows, OPTIONS aside */
export function answerOtherMethods(allowed: readonly string[]) {
  const allow = [...allowed, "OPTIONS"].join(", ");
  return (c: EdgeContext): Response => {
    if (c.req.method === "OPTIONS") return new Response(null, { status: 204, headers: { allow } });
    const error = new CodedError(
      "method_not_allowed",
      `${c.req.method} is not possible on ${c.req.path.slice(0, 200)}. Use ${allowed.join(" or ")}.`,
    );
    return answer(c, error, { allow });
  };
}

/** Its cause goes to the log (request-log.ts), not to the caller. */
function answer(c: EdgeContext, error: CodedError, headers?: Record<string, string>): Response {
  c.set("failure", error);
  return errorResponse(error.toPublic(), c.req.path, headers);
}
