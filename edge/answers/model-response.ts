/** OpenAI's Response object: as a result makes it, and as it is while there is none. */
import { errorTable, type PublicError } from "#contract/errors.ts";
import type { ResultHead, Usage } from "#contract/result-document.ts";
import { type FinishReason, Generation } from "#contract/tasks/generation.ts";
import type { JobStatus } from "./job.ts";
import type { RenderingOf } from "./rendering.ts";
import { type OutputItem, outputItems } from "./response-items.ts";

export type ResponseRendering = RenderingOf<"openai.responses">;

export type ResponseStatus =
  | "queued"
  | "in_progress"
  | "completed"
  | "incomplete"
  | "failed"
  | "cancelled";

export type ResponseState = {
  status: ResponseStatus;
  output?: readonly OutputItem[];
  error?: PublicError | null;
  usage?: Usage | null;
};

export function modelResponse(
  rendering: ResponseRendering,
  { status, output = [], error = null, usage = null }: ResponseState,
) {
  return {
    ...frame(rendering, error),
    output,
    ...ending(status),
    ...(usage === null ? {} : { usage: responseUsage(usage) }),
  };
}

/** The same object around the one output of a result, which alone tells how it ended. */
export function responseForm(rendering: ResponseRendering, { usage }: ResultHead) {
  return {
    prefix: `${JSON.stringify(frame(rendering, null)).slice(0, -1)},"output":`,
    show: (piece: unknown) => {
      const [choice] = Generation.parse(piece).choices;
      if (choice === undefined) throw new Error("a response is one choice");
      const rest = JSON.stringify(ending(statusOf(choice.finish_reason))).slice(1, -1);
      return `${JSON.stringify(outputItems(rendering.id, choice))},${rest}`;
    },
    suffix: `,"usage":${JSON.stringify(responseUsage(usage))}}`,
  };
}

export function statusOf(reason: FinishReason): "completed" | "incomplete" {
  return reason === "length" ? "incomplete" : "completed";
}

/** Of a job without a result. @param background before a worker begins it, such a one is queued */
export function unfinishedStatus(status: JobStatus, background: boolean): ResponseStatus {
  if (status === "failed") return "failed";
  if (status === "canceled") return "cancelled";
  return status === "starting" && background ? "queued" : "in_progress";
}

function frame(
  { id, created, model, background, echo }: ResponseRendering,
  error: PublicError | null,
) {
  return {
    id,
    object: "response",
    created_at: created,
    background,
    error: error === null ? null : responseError(error),
    model,
    ...echo,
  };
}

function ending(status: ResponseStatus) {
  return {
    status,
    incomplete_details: status === "incomplete" ? { reason: "max_output_tokens" } : null,
  };
}

/** OpenAI's codes are of its own list. */
function responseError({ code, message }: PublicError) {
  return { code: errorTable[code].status < 500 ? "invalid_prompt" : "server_error", message };
}

function responseUsage(usage: Usage) {
  const { promptTokens, completionTokens = 0, cachedTokens = 0, forcedTokens } = usage;
  const forced = forcedTokens === undefined ? {} : { forced_tokens: forcedTokens };
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedTokens, cache_write_tokens: 0 },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: 0, ...forced },
    total_tokens: promptTokens + completionTokens,
  };
}
