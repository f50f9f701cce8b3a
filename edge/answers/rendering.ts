/**
 * Result → body, for each route that shows one. Each row of `surfaces` says what stands before, between and after the
 * pieces of a result, so that one renderer serves a result in memory and one that streams by (jobs/result-stream.ts).
 * Outputs come from a worker or the cache unread; what is shown in other words than the worker's is parsed by its
 * task's own schema first, so a body is never built on a guess.
 */
import { cutText, cutWarnings } from "#contract/cut-text.ts";
import type { JobResult, Usage } from "#contract/events.ts";
import type { ResultHead } from "#contract/result-document.ts";
import { type Task, type TaskOutput, tasks } from "#contract/tasks.ts";
import type { Rendering } from "../jobs/job-spec.ts";
import { taskTable } from "#contract/task-table.ts";
import { decodeTokenVectors, decodeVector } from "./vector.ts";

/** A body, and the headers that say how it was made. */
export type Rendered = { body: string; headers: Record<string, string> };

/** How one result is shown: `prefix`, its pieces with commas between them, `suffix`. */
export type Surface = {
  task: Task;
  /** All outputs, or the items of the one output, which is a list. */
  pieces: "outputs" | "items";
  prefix: string;
  suffix: string;
  /** A piece, unread, in the words of this surface; null: it is shown as the worker wrote it. */
  show: ((piece: unknown, index: number) => string) | null;
  piecesMax: number;
  /** Whether the pieces stand in one more list, which the first of them tells. */
  listed: (first: unknown) => boolean;
};

/**
 * @param warnings of the request itself; those of the result are added
 * @throws ZodError where the outputs are not of the result's task
 */
export function render(
  rendering: Rendering,
  result: JobResult,
  warnings: readonly string[] = [],
): Rendered {
  return {
    body: bodyOf(surfaceOf(rendering, result), result.outputs),
    headers: answerHeaders(result, warnings),
  };
}

/** @param warnings of the request itself; those of the result are added */
export function answerHeaders(
  head: Pick<ResultHead, "modelDigest" | "method" | "warnings">,
  warnings: readonly string[],
): Record<string, string> {
  const warning = warningsHeader([...warnings, ...head.warnings]);
  return {
    "content-type": "application/json; charset=utf-8",
    "x-model-digest": head.modelDigest,
    ...(head.method === undefined ? {} : { "x-method": head.method }),
    ...(warning === null ? {} : { "x-warnings": warning }),
  };
}

/** @throws ZodError where the outputs are not of the surface's task */
export function bodyOf(surface: Surface, outputs: readonly unknown[]): string {
  const { task, prefix, suffix, show, piecesMax } = surface;
  const given = show === null ? outputsOf(task, outputs) : outputs;
  const pieces = surface.pieces === "items" ? itemsOf(given[0]) : given;
  const texts = pieces.slice(0, piecesMax).map(show ?? ((piece) => JSON.stringify(piece)));
  const shown = texts.join(",");
  return `${prefix}${surface.listed(pieces[0]) ? `[${shown}]` : shown}${suffix}`;
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

function itemsOf(output: unknown): readonly unknown[] {
  if (Array.isArray(output)) return output;
  throw new Error("the one output of a result is no list");
}

/** What each input is answered by, where that is not what the worker wrote. */
function showOf<T extends Task>(
  task: T,
  shape: (answer: unknown) => unknown = (answer) => answer,
): ((piece: unknown) => string) | null {
  const decode: ((output: TaskOutput<T>) => unknown) | undefined = decoders[task];
  if (decode === undefined) return null;
  const schema = taskTable[task].output;
  return (piece) => JSON.stringify(shape(decode(schema.parse(piece))));
}

/** All answers, one after the other. */
function answers(task: Task): Surface {
  return {
    task,
    pieces: "outputs",
    prefix: "",
    suffix: "",
    show: showOf(task),
    piecesMax: Infinity,
    listed: () => false,
  };
}

function listOf(task: Task): Surface {
  return { ...answers(task), prefix: "[", suffix: "]" };
}

/** Hugging Face's answer to a call that gave one input. */
function answerToOne(task: Task): Surface {
  if (decoders[task] !== undefined) return listOf(task);
  const listsOne = taskTable[task].huggingFace?.listsOne;
  if (listsOne === undefined) return answers(task);
  return { ...listOf(task), pieces: "items", listed: listsOne };
}

/** Transformers gives the token vectors of each text of a list as a batch of one. */
function asBatch(answer: unknown): unknown {
  const isTokenVectors =
    Array.isArray(answer) && Array.isArray(answer[0]) && typeof answer[0][0] === "number";
  return isTokenVectors ? [answer] : answer;
}

/** One row per route. The JSON of each is that of an object with these fields in this order. */
const surfaces: {
  [Route in Rendering["route"]]: (
    rendering: Extract<Rendering, { route: Route }>,
    head: ResultHead,
  ) => Surface;
} = {
  "openai.embeddings": ({ encodingFormat }, { model, usage }) => ({
    ...answers("feature-extraction"),
    prefix: '{"object":"list","data":[',
    suffix: `],"model":${JSON.stringify(model)},"usage":${usageText(usage)}}`,
    show: (piece, index) => {
      const vector = tasks["feature-extraction"].output.parse(piece);
      if (typeof vector !== "string") throw new Error("an embedding is one vector");
      const embedding = encodingFormat === "base64" ? vector : [...decodeVector(vector)];
      return JSON.stringify({ object: "embedding", index, embedding });
    },
  }),
  "hugging-face": ({ task, single }) =>
    single ? answerToOne(task) : { ...listOf(task), show: showOf(task, asBatch) },
  tasks: (_, { task, model, usage }) => ({
    ...answers(task),
    prefix: '{"object":"list","data":[',
    suffix: `],"model":${JSON.stringify(model)},"usage":${usageText(usage)}}`,
  }),
  "cohere.rerank": ({ id, topN }, { model, usage }) => ({
    ...answers("rerank"),
    pieces: "items",
    prefix: `{"id":${JSON.stringify(id)},"object":"list","model":${JSON.stringify(model)},"results":[`,
    suffix: `],"usage":${usageText(usage)},"meta":${JSON.stringify(cohereMeta(usage))}}`,
    show: (piece) => JSON.stringify(rankedDocument(piece)),
    piecesMax: topN ?? Infinity,
  }),
  "tei.rerank": ({ topN }) => ({
    ...listOf("rerank"),
    pieces: "items",
    piecesMax: topN ?? Infinity,
  }),
  tokens: ({ single }, { task, model }) =>
    single
      ? answers(task)
      : {
          ...answers(task),
          prefix: '{"object":"list","data":[',
          suffix: `],"model":${JSON.stringify(model)}}`,
        },
};

export function surfaceOf(rendering: Rendering, head: ResultHead): Surface {
  return rowOf(rendering.route)(rendering, head);
}

/** A row takes the rendering that bears its name: the one thing TypeScript cannot see of such a table. */
function rowOf(route: Rendering["route"]): (rendering: Rendering, head: ResultHead) => Surface {
  return surfaces[route] as (rendering: Rendering, head: ResultHead) => Surface;
}

function usageText(usage: Usage): string {
  return JSON.stringify(usageBody(usage));
}

/** Cohere's clients want it in every answer. No search units: nothing here is billed by them. */
function cohereMeta({ promptTokens }: Usage) {
  return {
    api_version: { version: "2" },
    tokens: { input_tokens: promptTokens, output_tokens: 0 },
  };
}

function rankedDocument(piece: unknown) {
  const { index, score, text } = tasks.rerank.output.element.parse(piece);
  return {
    index,
    relevance_score: score,
    ...(text === undefined ? {} : { document: { text } }),
  };
}
