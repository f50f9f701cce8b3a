/**
 * The lines of a result document → the body that shows them, as the text comes and in whatever pieces: no more of it is
 * held than the line or item that is not whole yet. Lines that are shown as the worker wrote them are not parsed.
 */
import { ListItems } from "./list-items.ts";
import type { ResultForm } from "./result-form.ts";

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
