/**
 * Tokens to text as they come. A token alone has no text of its own: it may hold a part of a character, and decoders
 * treat the beginning of a text in their own way. So a window of tokens is decoded, the ones last shown included (as
 * vLLM's `detokenize_incrementally`), and replacement characters at its end wait until it is known what they become.
 */

const replacement = "\uFFFD";
/** Bytes of the longest character of UTF-8; a token holds one byte or more. */
const characterBytesMax = 4;

export type Decode = (tokens: readonly number[]) => string;

export class TextStream {
  readonly #decode: Decode;
  /** Tokens of the window: the last ones whose text was whole, and those since. */
  #window: number[];
  /** Where in the window those since begin. */
  #whole: number;
  /** UTF-16 units of the window's text that were shown. */
  #shown: number;
  /** Tokens since text was last shown. */
  #silent = 0;

  /** @param before the last tokens of what the text goes on from, shown already */
  constructor(decode: Decode, before: readonly number[] = []) {
    this.#decode = decode;
    this.#window = [...before];
    this.#whole = before.length;
    this.#shown = decode(before).length;
  }

  /** @returns what may be shown now, often nothing */
  push(token: number): string {
    this.#window.push(token);
    this.#silent += 1;
    const text = this.#decode(this.#window);
    const piece = text.slice(this.#shown, this.#certain(text));
    if (piece !== "") this.#silent = 0;
    this.#shown += piece.length;
    if (piece !== "" && this.#shown === text.length && !text.endsWith(replacement)) this.#advance();
    return piece;
  }

  /** No token follows. @returns what was held back, broken characters as replacement characters */
  finish(): string {
    const text = this.#decode(this.#window);
    const piece = text.slice(this.#shown);
    this.#shown = text.length;
    return piece;
  }

  /** The end of the text that no later token changes. */
  #certain(text: string): number {
    let end = text.length;
    while (end > 0 && text[end - 1] === replacement) end -= 1;
    // Replacement characters that outlast a character's bytes are the text's own.
    if (this.#silent < characterBytesMax) return end;
    return Math.max(end, text.length - (characterBytesMax - 1));
  }

  #advance(): void {
    this.#window = this.#window.slice(this.#whole);
    this.#whole = this.#window.length;
    this.#shown = this.#decode(this.#window).length;
  }
}
