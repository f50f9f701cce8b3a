/**
 * The closed table of error codes a caller can meet, with the HTTP status and OpenAI error type of each.
 * Both sides raise errors by code; the edge alone turns them into HTTP bodies.
 */
import * as z from "zod";
import { cutText } from "./cut-text.ts";

const messageCharactersMax = 4_000;
const paramCharactersMax = 200;

type ErrorRow = {
  status: 400 | 401 | 403 | 404 | 405 | 408 | 409 | 413 | 415 | 429 | 500 | 504;
  type:
    | "invalid_request_error"
    | "authentication_error"
    | "permission_error"
    | "rate_limit_error"
    | "server_error";
  /** Whether sending the same request again, later and unchanged, can succeed. */
  retry: boolean;
};

export const errorTable = {
  invalid_json: { status: 400, type: "invalid_request_error", retry: false },
  invalid_value: { status: 400, type: "invalid_request_error", retry: false },
  missing_required_parameter: { status: 400, type: "invalid_request_error", retry: false },
  unknown_parameter: { status: 400, type: "invalid_request_error", retry: false },
  unsupported_parameter: { status: 400, type: "invalid_request_error", retry: false },
  model_not_servable: { status: 400, type: "invalid_request_error", retry: false },
  context_length_exceeded: { status: 400, type: "invalid_request_error", retry: false },
  invalid_json_schema: { status: 400, type: "invalid_request_error", retry: false },
  invalid_api_key: { status: 401, type: "authentication_error", retry: false },
  insufficient_permissions: { status: 403, type: "permission_error", retry: false },
  model_not_found: { status: 404, type: "invalid_request_error", retry: false },
  unknown_url: { status: 404, type: "invalid_request_error", retry: false },
  not_found: { status: 404, type: "invalid_request_error", retry: false },
  method_not_allowed: { status: 405, type: "invalid_request_error", retry: false },
  request_timeout: { status: 408, type: "invalid_request_error", retry: true },
  idempotency_key_conflict: { status: 409, type: "invalid_request_error", retry: false },
  idempotency_in_progress: { status: 409, type: "invalid_request_error", retry: true },
  request_too_large: { status: 413, type: "invalid_request_error", retry: false },
  unsupported_content_encoding: { status: 415, type: "invalid_request_error", retry: false },
  rate_limit_exceeded: { status: 429, type: "rate_limit_error", retry: true },
  insufficient_quota: { status: 429, type: "rate_limit_error", retry: false },
  model_unavailable: { status: 500, type: "server_error", retry: true },
  worker_lost: { status: 500, type: "server_error", retry: true },
  internal_error: { status: 500, type: "server_error", retry: true },
  sync_timeout: { status: 504, type: "server_error", retry: true },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errorTable;

export const ErrorCode = z.enum(Object.keys(errorTable) as [ErrorCode, ...ErrorCode[]]);

/** An error in words that may be shown to the caller, cut where they are too many. `param` names the field at fault. */
export const PublicError = z.object({
  code: ErrorCode,
  message: z.string().overwrite((text) => cutText(text, messageCharactersMax)),
  param: z
    .string()
    .overwrite((text) => cutText(text, paramCharactersMax))
    .nullable(),
});
export type PublicError = z.infer<typeof PublicError>;

/**
 * An error with a text for the caller and, as `cause`, the private reason for the log.
 * Thrown anywhere, translated once per deployable.
 */
export class CodedError extends Error {
  readonly code: ErrorCode;
  readonly param: string | null;

  constructor(code: ErrorCode, message: string, options: { param?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "CodedError";
    this.code = code;
    this.param = options.param ?? null;
  }

  toPublic(): PublicError {
    const { code, message, param } = this;
    return {
      code,
      message: cutText(message, messageCharactersMax),
      param: param === null ? null : cutText(param, paramCharactersMax),
    };
  }
}
