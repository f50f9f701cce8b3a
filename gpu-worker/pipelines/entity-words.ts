/**
 * The words within which all tokens agree on a class, by the rules of transformers' gather_pre_entities: as the
 * tokenizer splits them where its tokens are marked (WordPiece's ##), else by spaces, so that punctuation belongs to
 * the word it touches and a line break does not end a word. An unknown token begins a word.
 */
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { TextTokens } from "./text-tokens.ts";

/** @returns which word each token is part of, counted from 0 */
export function entityWords(
  { text, ids, offsets, words }: Pick<TextTokens, "text" | "ids" | "offsets" | "words">,
  { marksContinuation, unknownId }: Pick<Tokenizer, "marksContinuation" | "unknownId">,
): readonly number[] {
  if (marksContinuation) return words;
  let word = -1;
  return ids.map((id, at) => {
    const start = offsets[at]?.[0] ?? 0;
    const goesOn = start > 0 && id !== unknownId && !text.slice(start - 1, start + 1).includes(" ");
    if (!goesOn || word < 0) word += 1;
    return word;
  });
}
