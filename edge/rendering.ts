/**
 * Result → body, for each route that shows one. The result comes from a worker or the cache with its outputs unread;
 * they are parsed here by their task's own schema, so a body is never built on a guess.
 */
import { cutText, cutWarnings } from "#contract/cut-text.ts";
import type { JobResult, Usage } from "#contract/events.ts";
import type { Task, TaskOutput } from "#contract/tasks.ts";
import type { Rendering } from "./jobs/job-spec.ts";
import { taskTable } from "./task-table.ts";
import { decodeTokenVectors, decodeVector } from "./vector.ts";

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
      ...(result.method === undefined ? {} : { "x-method": result.method }),
      ...(warning === null ? {} : { "x-warnings": warning }),
    },
  };
}

/** Some servers and clients refuse 8 KiB of headers in all. */
const warningsHeaderBytesMax = 4_096;

/** The header's value, or null where there is nothing to say. Header bytes are ASCII: what is not becomes "?". */
export function warningsHeader(warnings: readonly string[]): string | null {
  if (warnings.length === 0) return null;
  const text = cutWarnings(warnings).join("; ");
  return cutText(text, warningsHeaderBytesMax).replaceAll(/[^\x20-\x7e]/g, "?");
}

/** As OpenAI words it, and how many inputs were cut where any was. */
export function usageBody({ promptTokens, truncatedInputs }: Usage) {
  return {
    prompt_tokens: promptTokens,
    total_tokens: promptTokens,
    ...(truncatedInputs === undefined ? {} : { truncated_inputs: truncatedInputs }),
  };
}

/**
 * Outputs that do not travel as callers see them. Under Hugging Face's routes these are one row per input, whether the
 * caller sent a list or not.
 */
const decoders: { readonly [T in Task]?: (output: TaskOutput<T>) => unknown } = {
  "feature-extraction": (output) =>
    typeof output === "string" ? [...decodeVector(output)] : decodeTokenVectors(output),
};

function outputsOf<T extends Task>(task: T, outputs: readonly unknown[]): TaskOutput<T>[] {
  const schema = taskTable[task].output;
  return outputs.map((output) => schema.parse(output));
}

/** What each input is answered by. */
function answersOf<T extends Task>(task: T, outputs: readonly unknown[]): unknown[] {
  const decode: ((output: TaskOutput<T>) => unknown) | undefined = decoders[task];
  const parsed = outputsOf(task, outputs);
  return decode === undefined ? parsed : parsed.map(decode);
}

/** Hugging Face's answer to a call that gave one input. */
function singleAnswerOf<T extends Task>(task: T, outputs: readonly unknown[]): unknown {
  if (decoders[task] !== undefined) return answersOf(task, outputs);
  const [output] = outputsOf(task, outputs.slice(0, 1));
  const answerOne = taskTable[task].huggingFace?.answerOne;
  return output === undefined || answerOne === undefined ? output : answerOne(output);
}

/** Transformers gives the token vectors of each text of a list as a batch of one. */
function asBatch(answer: unknown): unknown {
  const isTokenVectors =
    Array.isArray(answer) && Array.isArray(answer[0]) && typeof answer[0][0] === "number";
  return isTokenVectors ? [answer] : answer;
}

function bodyOf(rendering: Rendering, result: JobResult): unknown {
  const { outputs, model } = result;
  const usage = usageBody(result.usage);
  switch (rendering.route) {
    case "openai.embeddings":
      return embeddingsBody(rendering.encodingFormat, result);
    case "hugging-face":
      return rendering.single
        ? singleAnswerOf(rendering.task, outputs)
        : answersOf(rendering.task, outputs).map((answer) => asBatch(answer));
    case "tasks":
      return { object: "list", data: answersOf(result.task, outputs), model, usage };
    case "cohere.rerank":
      return { object: "list", model, results: rerankResults(rendering.topN, outputs), usage };
    case "tei.rerank":
      return singleAnswerOf("rerank", outputs);
    case "tokens":
      return rendering.single
        ? singleAnswerOf(result.task, outputs)
        : { object: "list", data: answersOf(result.task, outputs), model };
  }
}

function rerankResults(topN: number | null, outputs: readonly unknown[]): unknown[] {
  const [ranked = []] = outputsOf("rerank", outputs);
  return ranked.slice(0, topN ?? ranked.length).map(({ index, score, text }) => ({
    index,
    relevance_score: score,
    ...(text === undefined ? {} : { document: { text } }),
  }));
}

function embeddingsBody(encodingFormat: "float" | "base64", result: JobResult): unknown {
  const vectors = outputsOf("feature-extraction", result.outputs).filter(
    (output) => typeof output === "string",
  );
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
