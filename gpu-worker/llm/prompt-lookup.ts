/**
 * Guesses what comes next in a text from what came before in it (prompt look-up decoding): where the end of the text
 * occurred earlier, what followed it then may follow again, as it does where a text is copied, edited or quoted. How
 * often that came true is kept by the length of what occurred, and is observed whether a guess was computed or not.
 */

/** Fewer tokens occur again by chance. */
const matchTokensMin = 2;
/** Longer ones are not told apart. */
const matchTokensMax = 5;
/** Tokens that are looked through: a hundred thousandth of a second. */
const reachTokens = 8_192;
/** Of the newest observation. */
const newest = 1 / 8;
/** Before anything was observed, which takes no more than a few tokens. */
const firstChance = 0.25;

export type Guess = {
  /** Where in the text lies what may come next. */
  readonly from: number;
  /** That its first token is right. */
  readonly chance: number;
};

export class PromptLookup {
  /** Chance that a guess is right, by how much longer than the shortest its match was. */
  readonly #chances = new Float64Array(matchTokensMax - matchTokensMin + 1).fill(firstChance);
  /** Where in the text lies what may come next, and which chance it tells of; -1: nowhere. */
  #from = -1;
  #kind = 0;

  /** @param tokens of the text, prompt and answer @returns null: its end is new */
  guess(tokens: readonly number[]): Guess | null {
    const match = longestMatch(tokens);
    this.#from = -1;
    if (match.tokens < matchTokensMin) return null;
    this.#kind = match.tokens - matchTokensMin;
    this.#from = match.end;
    return { from: match.end, chance: this.#chances[this.#kind] ?? 0 };
  }

  /** This one comes next, behind `tokens`. What follows a guess that was right is the next guess, of a longer match. */
  came(token: number, tokens: readonly number[]): void {
    if (this.#from === -1) return;
    const isRight = tokens[this.#from] === token;
    const before = this.#chances[this.#kind] ?? 0;
    this.#chances[this.#kind] = before + newest * (Number(isRight) - before);
    this.#from = isRight ? this.#from + 1 : -1;
    this.#kind = Math.min(this.#kind + 1, this.#chances.length - 1);
  }
}

/** So many tokens from there on; behind the text's end it goes on with its own beginning, as what repeats does. */
export function draftOf(tokens: readonly number[], from: number, count: number): number[] {
  const draft: number[] = [];
  for (let at = from; draft.length < count; at += 1) {
    const token = at < tokens.length ? tokens[at] : draft[at - tokens.length];
    if (token === undefined) break;
    draft.push(token);
  }
  return draft;
}

/** Of the text's end with what came before, the nearest of equal ones. `end`: behind it. */
function longestMatch(tokens: readonly number[]): { tokens: number; end: number } {
  const last = tokens.length - 1;
  let best = { tokens: 0, end: 0 };
  for (let at = last; at > 0 && best.tokens < matchTokensMax;) {
    at = tokens.lastIndexOf(tokens[last] ?? -1, at - 1);
    if (at === -1 || at < last - reachTokens) break;
    const same = commonEnd(tokens, at, last);
    if (same > best.tokens) best = { tokens: same, end: at + 1 };
  }
  return best;
}

function commonEnd(tokens: readonly number[], a: number, b: number): number {
  let same = 1;
  while (same < matchTokensMax && same <= a && tokens[a - same] === tokens[b - same]) same += 1;
  return same;
}
