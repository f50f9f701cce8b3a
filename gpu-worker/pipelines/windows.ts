/**
 * Long texts by windows that share tokens with their neighbours: where each starts and ends, as Hugging Face's tokenizers
 * cut (the last window may be shorter, and no window lies within another).
 */
import { CodedError } from "#contract/errors.ts";

export type WindowRules = {
  /** Tokens of the text that fit one window. */
  readonly room: number;
  /** Tokens that neighbours share. */
  readonly overlap: number;
  /** The parameter that sets the overlap. */
  readonly param: string;
};

/**
 * `[start, end)` of each window, in tokens; one at a time, for a large overlap makes a great many. None for no tokens.
 * @throws CodedError invalid_value where the windows would not move on
 */
export function* windowsOf(
  tokens: number,
  { room, overlap, param }: WindowRules,
): Generator<readonly [number, number]> {
  if (tokens === 0) return;
  if (tokens > room && overlap >= room) {
    throw new CodedError(
      "invalid_value",
      `${param} is ${overlap}, but a window has room for ${room} tokens of the text. Make it smaller than that.`,
      { param },
    );
  }
  for (let start = 0; ; start += room - overlap) {
    const end = Math.min(start + room, tokens);
    yield [start, end];
    if (end === tokens) return;
  }
}
