/**
 * Prompts with completions, and plain texts, as rows of a decoder. A completion is learnt with the end token after it;
 * of a plain text everything is. Longer texts than `windowTokens` are read in windows, each of which begins with the
 * last token of the one before, so that every token is learnt once.
 */
import type { Line } from "#contract/training/forms.ts";
import { boundRow, withEnd } from "./learnt-rows.ts";
import type { LearntRow, TextReader } from "./learnt-rows.ts";

export type CompletionExample = Line<"completion">;

const windowTokens = 512;

/** Texts that are tokenised at once. */
const textsAtOnce = 256;

const namedCharacters = 60;

async function encodeAll(
  texts: readonly string[],
  { tokenizer }: TextReader,
  signal: AbortSignal,
): Promise<number[][]> {
  const lists: number[][] = [];
  for (let at = 0; at < texts.length; at += textsAtOnce) {
    const part = await tokenizer.encode(texts.slice(at, at + textsAtOnce), { signal });
    lists.push(...part.map(({ ids }) => ids));
  }
  return lists;
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => from + at);

/** In order. @throws DataError that names the example; the signal's reason */
export async function encodeCompletions(
  examples: readonly CompletionExample[],
  reader: TextReader,
  signal: AbortSignal,
): Promise<LearntRow[]> {
  const { tokenizer } = reader;
  const list = (of: (example: CompletionExample) => string) =>
    encodeAll(examples.map(of), reader, signal);
  const prompts = await list(({ prompt }) => prompt);
  const wholes = await list(({ prompt, completion }) => prompt + completion);
  const completions = await list(({ completion }) => completion);
  return examples.map(({ prompt }, at) => {
    const own = prompts[at] ?? [];
    const whole = wholes[at] ?? [];
    // A prompt is tokenised by itself when it is asked with: its tokens come first, whatever the whole would have.
    const agrees = own.every((id, index) => whole[index] === id);
    const answer = agrees ? whole.slice(own.length) : (completions[at] ?? []);
    const { ids: asked } = tokenizer.wrap(own);
    const row = {
      ids: [...asked, ...answer],
      learnt: range(asked.length, asked.length + answer.length),
    };
    const name = `the example with the prompt ${JSON.stringify(prompt.slice(0, namedCharacters))}`;
    return boundRow(withEnd(row, reader), { reader, name });
  });
}

function windowsOf(ids: readonly number[], length: number): LearntRow[] {
  const count = Math.max(1, Math.ceil((ids.length - 1) / (length - 1)));
  return Array.from({ length: count }, (_, at) => {
    const own = ids.slice(at * (length - 1), (at + 1) * (length - 1) + 1);
    return { ids: own, learnt: range(1, own.length) };
  });
}

/** Windows of all texts, in order. @throws DataError where no text has two tokens; the signal's reason */
export async function encodeProse(
  texts: readonly string[],
  reader: TextReader,
  signal: AbortSignal,
): Promise<LearntRow[]> {
  const { tokenizer, tokensMax } = reader;
  const length = Math.min(windowTokens, tokensMax);
  const lists = await encodeAll(texts, reader, signal);
  return lists.flatMap((ids) => {
    const { ids: wrapped } = tokenizer.wrap(ids);
    const whole = withEnd({ ids: wrapped, learnt: [] }, reader).ids;
    return windowsOf(whole, length).filter(({ learnt }) => learnt.length > 0);
  });
}
