/** Whether a folder's tokenizer is its model's: ids are rows of the model's embeddings. */
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Checkpoint } from "./checkpoint.ts";

/** @throws Error where a text may hold tokens that the model has no embedding of */
export function checkTokenizer(
  { vocabularySize: tokens }: Pick<Tokenizer, "vocabularySize">,
  { limits }: Pick<Checkpoint, "limits">,
): void {
  if (tokens <= limits.vocabularySize) return;
  throw new Error(
    `its tokenizer has ${tokens} tokens, but config.json's vocab_size is ${limits.vocabularySize}: ` +
      "the tokenizer, or tokens added to it, are of another model",
  );
}
