/**
 * Stop strings in text that comes in pieces. The text ends where the first stop string is complete, before that stop
 * string (the earliest begun, where several end at once); so the end does not depend on how the text was cut. What may
 * yet become a stop string is held back, and so is half of a surrogate pair.
 */

export type Shown = {
  /** What may be shown now. */
  text: string;
  /** The stop string that ended the text; null: it goes on. */
  stop: string | null;
};

export class StopScanner {
  readonly #stops: readonly string[];
  #held = "";

  /** @param stops none empty */
  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** The next piece of the text; none after its end. */
  push(piece: string): Shown {
    const text = this.#held + piece;
    const found = firstStop(text, this.#stops);
    if (found !== null) {
      this.#held = "";
      return { text: text.slice(0, found.start), stop: found.stop };
    }
    const shown = heldFrom(text, this.#stops);
    this.#held = text.slice(shown);
    return { text: text.slice(0, shown), stop: null };
  }

  /** The text ends without a stop string. @returns what was held back */
  finish(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }
}

type Found = { stop: string; start: number };

/** The stop string that is complete first. */
export function firstStop(text: string, stops: readonly string[]): Found | null {
  let first: Found | null = null;
  for (const stop of stops) {
    const start = text.indexOf(stop);
    if (start === -1) continue;
    if (first === null || isBefore({ stop, start }, first)) first = { stop, start };
  }
  return first;
}

function isBefore(a: Found, b: Found): boolean {
  const [end, other] = [a.start + a.stop.length, b.start + b.stop.length];
  return end < other || (end === other && a.start < b.start);
}

/** Where the longest end of the text begins that is the beginning of a stop string. */
function heldFrom(text: string, stops: readonly string[]): number {
  const longest = Math.max(0, ...stops.map((stop) => stop.length - 1));
  let from = Math.max(0, text.length - longest);
  while (from < text.length && !stops.some((stop) => stop.startsWith(text.slice(from)))) from += 1;
  return isHighSurrogate(text.charCodeAt(from - 1)) ? from - 1 : from;
}

/** False for NaN, the code before the first. */
function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code < 0xdc00;
}
