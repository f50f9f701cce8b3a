/** A result document → the body that shows it, and the headers that say how it was made. */
import { cutText, cutWarnings } from "#contract/cut-text.ts";
import { openResultDocument, type ResultHead } from "#contract/result-document.ts";
import { ListItems } from "./list-items.ts";
import type { Rendering } from "./rendering.ts";
import { type ResultForm, resultFormOf } from "./surfaces.ts";

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
export function warningsHeader(warnings: readonly string[]): string | null {
  if (warnings.length === 0) return null;
  const text = cutWarnings(warnings).join("; ");
  return cutText(text, warningsHeaderBytesMax).replaceAll(/[^\x20-\x7e]/g, "?");
}

/**
 * Writes the body as the lines of a document come, in whatever pieces: no more of them is held than the line or item
 * that is not whole yet. Lines that are shown as the worker wrote them are not parsed.
 */
export class ResultWriter {
  readonly #form: ResultForm;
  readonly #items = new ListItems();
  /** Of a line that is not whole yet. */
  #begun = "";
  /** Pieces shown so far. */
  #count = 0;
  #listed = false;
  /** The last line shown is whole: another one follows a comma. */
  #ended = false;

  constructor(form: ResultForm) {
    this.#form = form;
  }

  begin(): string {
    return this.#form.prefix;
  }

  /** @param text of the document after its first line @returns what of the body it makes */
  push(text: string): string {
    if (this.#form.pieces === "items") return this.#showItems(text);
    if (this.#form.show === null) return this.#joinLines(text);
    return this.#showLines(text, this.#form.show);
  }

  end(): string {
    const { suffix, listed, pieces } = this.#form;
    if (pieces !== "items") return suffix;
    if (this.#count === 0 && listed(undefined)) return `[]${suffix}`;
    return this.#listed ? `]${suffix}` : suffix;
  }

  /** Newlines between lines become commas; the last one ends the document. */
  #joinLines(text: string): string {
    if (text === "") return "";
    const comma = this.#ended ? "," : "";
    this.#ended = text.endsWith("\n");
    return comma + (this.#ended ? text.slice(0, -1) : text).replaceAll("\n", ",");
  }

  #showLines(text: string, show: NonNullable<ResultForm["show"]>): string {
    const lines = (this.#begun + text).split("\n");
    this.#begun = lines.pop() ?? "";
    let shown = "";
    for (const line of lines) {
      shown += `${this.#count === 0 ? "" : ","}${show(JSON.parse(line), this.#count)}`;
      this.#count += 1;
    }
    return shown;
  }

  #showItems(text: string): string {
    const { show, listed, piecesMax } = this.#form;
    let shown = "";
    for (const item of this.#items.push(text)) {
      if (this.#count === 0) this.#listed = listed(JSON.parse(item));
      if (this.#count < piecesMax) {
        shown += this.#count === 0 ? (this.#listed ? "[" : "") : ",";
        shown += show === null ? item : show(JSON.parse(item), this.#count);
      }
      this.#count += 1;
    }
    return shown;
  }
}
