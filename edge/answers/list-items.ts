/**
 * Takes the text of a JSON list apart into the texts of its items, as it arrives and in whatever pieces: no more of it
 * is held than the item that is not whole yet. Looks at brackets, commas and strings alone; what an item means is the
 * reader's.
 */
const quote = 0x22;
const comma = 0x2c;
const backslash = 0x5c;
const openers = new Set([0x5b, 0x7b]);
const closers = new Set([0x5d, 0x7d]);

export class ListItems {
  /** Brackets open: 1 inside the list itself. */
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** What has arrived of the item that is not whole. */
  #begun = "";

  /** @returns the items that `text` makes whole */
  push(text: string): string[] {
    const items: string[] = [];
    let start = 0;
    const end = (at: number) => {
      const item = (this.#begun + text.slice(start, at)).trim();
      if (item !== "") items.push(item);
      this.#begun = "";
      start = at + 1;
    };
    for (let at = 0; at < text.length; at += 1) {
      const unit = text.charCodeAt(at);
      if (this.#inString) this.#readInString(unit);
      else if (unit === quote) this.#inString = true;
      else if (unit === comma) {
        if (this.#depth === 1) end(at);
      } else if (openers.has(unit)) {
        this.#depth += 1;
        if (this.#depth === 1) start = at + 1;
      } else if (closers.has(unit)) {
        this.#depth -= 1;
        if (this.#depth === 0) end(at);
      }
    }
    if (this.#depth > 0) this.#begun += text.slice(start);
    return items;
  }

  #readInString(unit: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (unit === backslash) this.#escaped = true;
    else if (unit === quote) this.#inString = false;
  }
}
