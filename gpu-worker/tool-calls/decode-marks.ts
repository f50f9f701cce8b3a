/**
 * Tokens to text for whoever looks for calls: special tokens are no text, but for those that a form of calls is written
 * with, as `[TOOL_CALLS]` is.
 */
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { type CallForm, writeCalls } from "./call-form.ts";

/** @returns as `tokenizer.decode` */
export function decodeMarks(
  form: CallForm,
  tokenizer: Pick<Tokenizer, "decode" | "token">,
): (ids: readonly number[]) => string {
  const call = { name: "", arguments: "" };
  const marks = writeCalls(form, [call, call]);
  const known = new Map<number, boolean>();
  const isText = (id: number) => {
    const token = tokenizer.token(id);
    return token?.special !== true || marks.includes(token.text);
  };
  return (ids) => {
    const kept = ids.filter((id) => {
      const shown = known.get(id) ?? isText(id);
      known.set(id, shown);
      return shown;
    });
    return tokenizer.decode(kept, { keepSpecialTokens: true });
  };
}
