/**
 * What a job will probably cost, in tokens, before any tokenizer has seen it: reserved at admission and replaced by what
 * the worker really read. Cheap on purpose; never more than the model can read.
 */
import type { Task, TaskInput } from "#contract/tasks.ts";
import { utf8Bytes } from "./jobs/utf8-bytes.ts";

/** English text in WordPiece or BPE; other scripts come out higher in bytes as they do in tokens. */
const bytesPerToken = 4;
/** A model's opening and closing token. */
const specialTokens = 2;
/** Where a model has not told its own. */
const maxTokensDefault = 512;

const estimates: { [T in Task]: (input: TaskInput<T>, maxTokens: number) => number } = {
  noop: () => 0,
  "feature-extraction": (input, maxTokens) =>
    typeof input === "string"
      ? tokensOfText(input, maxTokens)
      : Math.min(input.length + specialTokens, maxTokens),
  "sentence-similarity": ({ source_sentence, sentences }, maxTokens) =>
    [source_sentence, ...sentences].reduce((sum, text) => sum + tokensOfText(text, maxTokens), 0),
};

/** @param maxTokens the model's longest input; null: not known */
export function estimateUnits<T extends Task>(
  task: T,
  inputs: readonly TaskInput<T>[],
  maxTokens: number | null,
): number {
  const limit = maxTokens ?? maxTokensDefault;
  return inputs.reduce((sum, input) => sum + estimates[task](input, limit), 0);
}

function tokensOfText(text: string, maxTokens: number): number {
  // UTF-16 units never outnumber bytes, so a long text needs no count of its bytes.
  if (text.length >= maxTokens * bytesPerToken) return maxTokens;
  const tokens = Math.ceil(utf8Bytes(text, 0) / bytesPerToken) + specialTokens;
  return Math.min(tokens, maxTokens);
}
