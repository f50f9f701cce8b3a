/** Where a JSON value ends, in text that comes in pieces. It is taken to be JSON: a grammar saw to that. */

export class JsonExtent {
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** A number or a word ends where something else comes. */
  #plain = false;
  #begun = false;
  #ended = false;

  get ended(): boolean {
    return this.#ended;
  }

  /** The next piece. @returns how many of its UTF-16 units belong to the value */
  take(piece: string): number {
    for (let at = 0; at < piece.length; at += 1) {
      if (this.#plain && /[\s,}\]]/.test(piece.charAt(at))) {
        this.#ended = true;
        return at;
      }
      this.#read(piece.charAt(at));
      if (this.#ended) return at + 1;
    }
    return piece.length;
  }

  #read(character: string): void {
    if (this.#inString) return this.#readInString(character);
    const isSpace = /\s/.test(character);
    if (character === '"') this.#inString = true;
    else if (character === "{" || character === "[") this.#depth += 1;
    else if (character === "}" || character === "]") this.#depth -= 1;
    else if (!this.#begun && !isSpace) this.#plain = true;
    this.#begun ||= !isSpace;
    this.#ended = this.#begun && this.#depth <= 0 && !this.#inString && !this.#plain;
  }

  #readInString(character: string): void {
    if (this.#escaped) this.#escaped = false;
    else if (character === "\\") this.#escaped = true;
    else if (character === '"') {
      this.#inString = false;
      this.#ended = this.#depth === 0;
    }
  }
}
