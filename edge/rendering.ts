/**
 * Result → body, for each route that shows one. The result comes from a worker or the cache with its outputs unread;
 * they are parsed here by their task's own schema, so a body is never built on a guess.
 */
import * as z from "zod";
import type { PublicError } from "#contract/errors.ts";
import type { JobResult, Usage } from "#contract/events.ts";
import { type Task, type TaskOutput, tasks } from "#contract/tasks.ts";
import type { Rendering } from "./jobs/job-spec.ts";
import { decodeVector } from "./vector.ts";

/** A body, and the headers that say how it was made. */
export type Rendered = { body: string; headers: Record<string, string> };

/**
 * @param warnings of the request itself; those of the result are added
 * @throws ZodError where the outputs are not of the result's task
 */
export function render(
  rendering: Rendering,
  result: JobResult,
  warnings: readonly string[] = [],
): Rendered {
  const warning = warningsHeader([...warnings, ...result.warnings]);
  return {
    body: JSON.stringify(bodyOf(rendering, result)),
    headers: {
      "content-type": "application/json; charset=utf-8",
      "x-model-digest": result.modelDigest,
      ...(warning === null ? {} : { "x-warnings": warning }),
    },
  };
}

/** A worker's error in the caller's words: the worker knows a job's inputs, the caller the field of the route. */
export function renderError(rendering: Rendering, error: PublicError): PublicError {
  const { param } = error;
  if (param === null || !param.startsWith("inputs")) return error;
  const named = fieldOf(rendering, param);
  return { ...error, param: named, message: error.message.replaceAll(param, named) };
}

function fieldOf(rendering: Rendering, param: string): string {
  if (rendering.route === "openai.embeddings") return param.replace(/^inputs/, "input");
  const single = rendering.route === "hugging-face" && rendering.single;
  return single ? param.replace(/^inputs\[0\]/, "inputs") : param;
}

/** The header's value, or null where there is nothing to say. Header bytes are ASCII: what is not becomes "?". */
export function warningsHeader(warnings: readonly string[]): string | null {
  if (warnings.length === 0) return null;
  return [...new Set(warnings)].join("; ").replaceAll(/[^\x20-\x7e]/g, "?");
}

/** One task's answers as Hugging Face words them, one per input. */
const answers: { [T in Task]: (outputs: TaskOutput<T>[]) => unknown[] } = {
  noop: (outputs) => outputs,
  "feature-extraction": (outputs) => outputs.map((output) => [...decodeVector(output)]),
  "sentence-similarity": (outputs) => outputs,
};

/** How a call that gave one input, not a list, is answered: feature-extraction has a row per text either way. */
const answersSingly: { [T in Task]: boolean } = {
  noop: true,
  "feature-extraction": false,
  "sentence-similarity": true,
};

function answersOf<T extends Task>(task: T, outputs: unknown[]): unknown[] {
  return answers[task](z.array(tasks[task].output).parse(outputs) as TaskOutput<T>[]);
}

function bodyOf(rendering: Rendering, result: JobResult): unknown {
  switch (rendering.route) {
    case "openai.embeddings":
      return embeddingsBody(rendering.encodingFormat, result);
    case "hugging-face": {
      const all = answersOf(rendering.task, result.outputs);
      return rendering.single && answersSingly[rendering.task] ? all[0] : all;
    }
    case "tasks":
      return {
        object: "list",
        data: answersOf(result.task, result.outputs),
        model: result.model,
        usage: usageBody(result.usage),
      };
  }
}

function embeddingsBody(encodingFormat: "float" | "base64", result: JobResult): unknown {
  const vectors = z.array(tasks["feature-extraction"].output).parse(result.outputs);
  return {
    object: "list",
    data: vectors.map((vector, index) => ({
      object: "embedding",
      index,
      embedding: encodingFormat === "base64" ? vector : [...decodeVector(vector)],
    })),
    model: result.model,
    usage: usageBody(result.usage),
  };
}

function usageBody(usage: Usage) {
  return { prompt_tokens: usage.promptTokens, total_tokens: usage.promptTokens };
}
