/**
 * The words a mask may be filled with, as token ids. As in transformers, a word that is no single token stands for its first
 * token, and the answer says so; a word the model has no token for is left out.
 */
import { CodedError } from "#contract/errors.ts";
import type { EncoderModel } from "./encoder-model.ts";

export type FillTargets = {
  /** Each once. */
  ids: number[];
  warnings: string[];
};

/** So many words are named in a warning. */
const namedMost = 10;

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
    const [first, ...more] = encodings[index]?.ids ?? [];
    const token = first === undefined ? "" : tokenizer.decode([first]).trim();
    if (first === undefined || token === "") {
      unknown.push(JSON.stringify(word));
      continue;
    }
    ids.add(first);
    if (more.length > 0) replaced.push(`${JSON.stringify(word)} → ${JSON.stringify(token)}`);
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
  const rest = words.length - namedMost;
  return words.slice(0, namedMost).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}
