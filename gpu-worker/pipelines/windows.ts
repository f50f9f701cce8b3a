/**
 * Long texts by windows that share tokens with their neighbours: where each starts and ends, as Hugging Face's
 * tokenizers cut (the last window may be shorter, and no window lies within another).
 */
export type WindowRules = {
  /** Tokens of the text that fit one window. */
  readonly room: number;
  /** Tokens that neighbours share, as asked. */
  readonly overlap: number;
};

/** At most half a window, so that no token is read more than twice. The estimate of the edge assumes the same. */
function sharedTokens({ room, overlap }: WindowRules): number {
  return Math.min(overlap, Math.floor(room / 2));
}

/** `[start, end)` of each window, in tokens; one at a time, since a text may make very many. None for no tokens. */
export function* windowsOf(
  tokens: number,
  rules: WindowRules,
): Generator<readonly [number, number]> {
  if (tokens === 0) return;
  const { room } = rules;
  for (let start = 0; ; start += room - sharedTokens(rules)) {
    const end = Math.min(start + room, tokens);
    yield [start, end];
    if (end === tokens) return;
  }
}

/** Whether a text of so many tokens is read by windows that share fewer than was asked. */
export function isOverlapLowered(tokens: number, rules: WindowRules): boolean {
  return tokens > rules.room && sharedTokens(rules) < rules.overlap;
}

/** @param param the parameter that asked for the overlap */
export function overlapWarning(param: string, asked: number): string {
  return `${param}: ${asked} was lowered to half of what a window takes of the text`;
}
