/** Truncates documents to the length that a request asks for, Cohere's `max_tokens_per_doc`. */
import type { InputRules, InputTokens } from "./encode-input.ts";

/** @param most tokens, special tokens aside */
export function cutDocument(
  text: InputTokens,
  most: number,
  { truncationDirection }: Pick<InputRules, "truncationDirection">,
): { kept: InputTokens; isCut: boolean } {
  const { ids } = text;
  if (ids.length <= most) return { kept: text, isCut: false };
  const kept = truncationDirection === "right" ? ids.slice(0, most) : ids.slice(ids.length - most);
  return { kept: { ...text, ids: kept, complete: true }, isCut: true };
}
