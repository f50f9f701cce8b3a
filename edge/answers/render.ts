/** A result document → the body that shows it, and the headers that say how it was made. */
import { cutText, cutWarnings } from "#contract/cut-text.ts";
import { openResultDocument, type ResultHead } from "#contract/result-document.ts";
import type { Rendering } from "./rendering.ts";
import type { ResultForm } from "./result-form.ts";
import { ResultWriter } from "./result-writer.ts";
import { resultFormOf } from "./surfaces.ts";

/** What of an answer is sent, and what is sent again. */
export type Rendered = { body: string; headers: Record<string, string> };
export type RenderedResult = Rendered & { head: ResultHead };

/**
 * @param warnings of the request itself; those of the result are added
 * @throws ZodError where an output that is shown in other words is not of the result's task
 */
export function render(
  rendering: Rendering,
  document: string,
  warnings: readonly string[] = [],
): RenderedResult {
  const { head, lines } = openResultDocument(document);
  return {
    head,
    body: writeResult(resultFormOf(rendering, head), lines),
    headers: answerHeaders(head, warnings),
  };
}

/** @param lines of a document after its first */
export function writeResult(form: ResultForm, lines: string): string {
  const writer = new ResultWriter(form);
  return writer.begin() + writer.push(lines) + writer.end();
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

/** Some servers and clients refuse 8 KiB of headers in all. */
const warningsHeaderBytesMax = 4_096;

/** The header's value, or null where there is nothing to say. Header bytes are ASCII: what is not becomes "?". */
function warningsHeader(warnings: readonly string[]): string | null {
  if (warnings.length === 0) return null;
  const text = cutWarnings(warnings).join("; ");
  return cutText(text, warningsHeaderBytesMax).replaceAll(/[^\x20-\x7e]/g, "?");
}
