/**
 * The words a mask may be filled with, as token ids. As in transformers' get_target_ids, a word is a token as the
 * vocabulary writes it (RoBERTa's Ġparis), else the first token that its text becomes ("paris", " paris"); a warning
 * names words that are more than this token. A text of no tokens is left out.
 */
import { CodedError } from "#contract/errors.ts";
import type { EncoderModel } from "../model/encoder-model.ts";

export type FillTargets = {
  /** Each once. */
  ids: number[];
  warnings: string[];
};

/** Words that a warning names. */
const namedMax = 10;

/** @throws CodedError where no word is left; the signal's reason */
export async function targetsOf(
  words: readonly string[],
  { tokenizer, id }: EncoderModel,
  signal: AbortSignal,
): Promise<FillTargets> {
  const encodings = await tokenizer.encode(words, { signal });
  const ids = new Set<number>();
  const replaced: string[] = [];
  const unknown: string[] = [];
  for (const [index, word] of words.entries()) {
    const written = tokenizer.idOfToken(word);
    const [first, ...more] = written === null ? (encodings[index]?.ids ?? []) : [written];
    if (first === undefined) {
      unknown.push(JSON.stringify(word));
      continue;
    }
    ids.add(first);
    if (more.length === 0 && first !== tokenizer.unknownId) continue;
    const token = tokenizer.decode([first], { keepSpecialTokens: true });
    replaced.push(`${JSON.stringify(word)} → ${JSON.stringify(token)}`);
  }
  if (ids.size === 0) {
    throw new CodedError("invalid_value", `targets holds no word that ${id} has a token for`, {
      param: "targets",
    });
  }
  return { ids: [...ids], warnings: [...replacedWarning(replaced), ...unknownWarning(unknown)] };
}

function replacedWarning(words: readonly string[]): string[] {
  if (words.length === 0) return [];
  return [`targets: words that are no single token stand for their first: ${list(words)}`];
}

function unknownWarning(words: readonly string[]): string[] {
  if (words.length === 0) return [];
  return [`targets: words without a token were left out: ${list(words)}`];
}

function list(words: readonly string[]): string {
  const rest = words.length - namedMax;
  return words.slice(0, namedMax).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}
