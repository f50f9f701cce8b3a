/**
 * How one result is shown: what stands before, between and after its pieces, so that one renderer serves a result in
 * memory and one that streams by. What is shown in other words than the worker's is parsed by its task's own schema
 * first, so a body is never built on a guess.
 */
import type { Usage } from "#contract/result-document.ts";
import { taskTable } from "#contract/task-table.ts";
import type { Task, TaskOutput } from "#contract/tasks.ts";
import { decodeTokenVectors, decodeVector } from "./vector.ts";

/** `prefix`, the pieces of the result with commas between them, `suffix`. */
export type ResultForm = {
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
 * Outputs that do not travel as callers see them. Under Hugging Face's routes these are one row per input, whether the
 * caller sent a list or not.
 */
const decoders: { readonly [T in Task]?: (output: TaskOutput<T>) => unknown } = {
  "feature-extraction": (output) =>
    typeof output === "string" ? [...decodeVector(output)] : decodeTokenVectors(output),
};

/** What each input is answered by, where that is not what the worker wrote. */
export function showOf<T extends Task>(
  task: T,
  shape: (answer: unknown) => unknown = (answer) => answer,
): ((piece: unknown) => string) | null {
  const decode: ((output: TaskOutput<T>) => unknown) | undefined = decoders[task];
  if (decode === undefined) return null;
  const schema = taskTable[task].output;
  return (piece) => JSON.stringify(shape(decode(schema.parse(piece))));
}

/** All answers, one after the other. */
export function answers(task: Task): ResultForm {
  return {
    pieces: "outputs",
    prefix: "",
    suffix: "",
    show: showOf(task),
    piecesMax: Infinity,
    listed: () => false,
  };
}

export function listOf(task: Task): ResultForm {
  return { ...answers(task), prefix: "[", suffix: "]" };
}

/** Hugging Face's answer to a call that gave one input. */
export function answerToOne(task: Task): ResultForm {
  if (decoders[task] !== undefined) return listOf(task);
  const listsOne = taskTable[task].huggingFace?.listsOne;
  if (listsOne === undefined) return answers(task);
  return { ...listOf(task), pieces: "items", listed: listsOne };
}

/** As OpenAI words it, and how many inputs were cut where any was. */
export function usageBody({ promptTokens, truncatedInputs }: Usage) {
  return {
    prompt_tokens: promptTokens,
    total_tokens: promptTokens,
    ...(truncatedInputs === undefined ? {} : { truncated_inputs: truncatedInputs }),
  };
}
