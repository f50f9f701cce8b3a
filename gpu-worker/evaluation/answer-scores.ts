/**
 * Exact match and F1 of an answer to a question, as SQuAD's script (evaluate-v2.0.py) scores them: letters lowered,
 * ASCII punctuation and articles left out, the best of several expected answers.
 */
export type AnswerScores = { exactMatch: number; f1: number };

/** Python's: letters, digits and "_" make words, combining marks do not. */
const article = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;
const punctuation = /[!-/:-@[-`{-~]/g;
/** Python's str.split(): white space, and the four separators U+001C to U+001F. */
// oxlint-disable-next-line no-control-regex
const whitespace = /[\p{White_Space}\x1c-\x1f]+/u;

/** `expected`: none, or nothing but articles, means that the text has no answer, which an empty prediction says. */
export function scoreAnswer(expected: readonly string[], predicted: string): AnswerScores {
  const said = wordsOf(predicted);
  const meant = expected.map(wordsOf).filter((words) => words.length > 0);
  const each = (meant.length === 0 ? [[]] : meant).map((words) => ({
    exactMatch: Number(words.join(" ") === said.join(" ")),
    f1: wordF1(words, said),
  }));
  return {
    exactMatch: each.reduce((best, { exactMatch }) => Math.max(best, exactMatch), 0),
    f1: each.reduce((best, { f1 }) => Math.max(best, f1), 0),
  };
}

function wordsOf(text: string): string[] {
  const bare = text.toLowerCase().replaceAll(punctuation, "").replaceAll(article, " ");
  return bare.split(whitespace).filter(Boolean);
}

function wordF1(meant: readonly string[], said: readonly string[]): number {
  if (meant.length === 0 || said.length === 0) return Number(meant.length === said.length);
  const left = new Map<string, number>();
  for (const word of meant) left.set(word, (left.get(word) ?? 0) + 1);
  let shared = 0;
  for (const word of said) {
    const count = left.get(word) ?? 0;
    if (count > 0) shared += 1;
    left.set(word, count - 1);
  }
  return (2 * shared) / (meant.length + said.length);
}
