/** A result → its body and the headers that say how it was made. */
import { cutText, cutWarnings } from "#contract/cut-text.ts";
import type { JobResult } from "#contract/events.ts";
import type { ResultHead } from "#contract/result-document.ts";
import { taskTable } from "#contract/task-table.ts";
import type { Task, TaskOutput } from "#contract/tasks.ts";
import type { Rendering } from "./rendering.ts";
import type { ResultForm } from "./result-form.ts";
import { resultFormOf } from "./surfaces.ts";

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
  return {
    body: bodyOf(resultFormOf(rendering, result), result.outputs),
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

/** @throws ZodError where the outputs are not of the form's task */
export function bodyOf(form: ResultForm, outputs: readonly unknown[]): string {
  const { task, prefix, suffix, show, piecesMax } = form;
  const given = show === null ? outputsOf(task, outputs) : outputs;
  const pieces = form.pieces === "items" ? itemsOf(given[0]) : given;
  const texts = pieces.slice(0, piecesMax).map(show ?? ((piece) => JSON.stringify(piece)));
  const shown = texts.join(",");
  return `${prefix}${form.listed(pieces[0]) ? `[${shown}]` : shown}${suffix}`;
}

/** Some servers and clients refuse 8 KiB of headers in all. */
const warningsHeaderBytesMax = 4_096;

/** The header's value, or null where there is nothing to say. Header bytes are ASCII: what is not becomes "?". */
function warningsHeader(warnings: readonly string[]): string | null {
  if (warnings.length === 0) return null;
  const text = cutWarnings(warnings).join("; ");
  return cutText(text, warningsHeaderBytesMax).replaceAll(/[^\x20-\x7e]/g, "?");
}

function outputsOf<T extends Task>(task: T, outputs: readonly unknown[]): TaskOutput<T>[] {
  const schema = taskTable[task].output;
  return outputs.map((output) => schema.parse(output));
}

function itemsOf(output: unknown): readonly unknown[] {
  if (Array.isArray(output)) return output;
  throw new Error("the one output of a result is no list");
}
