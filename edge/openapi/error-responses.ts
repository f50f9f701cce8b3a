/** Answers that tell of an error, once for each status and form of body. */
import { type ErrorCode, errorTable } from "#contract/errors.ts";
import type { ErrorForm } from "../answers/error-forms.ts";
import { errorFormAt } from "../answers/surfaces.ts";
import { errorHeaders, headerRefs } from "../http/response-headers.ts";
import { errorExample } from "./examples.ts";
import type { ErrorStatus } from "./operation.ts";
import { operations } from "./operations.ts";

const examples = {
  400: ["invalid_value", "input is empty. Send at least 1 character, or leave it out."],
  401: ["invalid_api_key", "This key is not known here. Send none for the free tier."],
  403: ["insufficient_permissions", "This link has expired: outputs are kept for a day."],
  404: ["not_found", "No such job. Jobs are kept for a day, for their owner."],
  408: ["request_timeout", "The body did not arrive within 5 s. Send it faster, or less at once."],
  409: [
    "idempotency_key_conflict",
    "This Idempotency-Key made a job of another body. Send another.",
  ],
  413: ["request_too_large", "The body is larger than 8388608 bytes, the limit of one request."],
  415: [
    "unsupported_content_encoding",
    "The body's content-encoding is br. Send it as gzip, or as it is.",
  ],
  429: ["rate_limit_exceeded", "All 60 requests of this minute are used. Try again in 12 s."],
  500: ["internal_error", "Something failed on our side. Send the request again."],
  504: ["sync_timeout", "The job is not finished after 100 s and goes on."],
} as const satisfies Record<ErrorStatus, readonly [ErrorCode, string]>;

const prefixes = {
  openai: "Error",
  cohere: "CohereError",
  "hugging-face": "HuggingFaceError",
} as const;

export function errorComponentName(status: ErrorStatus, form: ErrorForm): string {
  return `${prefixes[form.name]}${status}`;
}

/** Those that any operation meets. @param schemas the body of each form */
export function errorComponents(
  schemas: Record<ErrorForm["name"], object>,
): Record<string, object> {
  const made: Record<string, object> = {};
  for (const { path, errors } of operations) {
    const form = errorFormAt(path);
    for (const status of errors) {
      made[errorComponentName(status, form)] ??= errorResponseOf(status, form, schemas[form.name]);
    }
  }
  return made;
}

function errorResponseOf(status: ErrorStatus, form: ErrorForm, schema: object): object {
  const [code, message] = examples[status];
  const example = errorExample(code, message, form);
  return {
    description: codesOf(status),
    headers: headerRefs(errorHeaders(status)),
    content: { "application/json": { schema, example } },
  };
}

/** No route raises these. */
const unused: readonly string[] = ["invalid_json_schema", "idempotency_in_progress"];

function codesOf(status: ErrorStatus): string {
  const codes = Object.entries(errorTable).filter(
    ([code, row]) => row.status === status && !unused.includes(code),
  );
  return codes.map(([code]) => code).join(", ");
}
