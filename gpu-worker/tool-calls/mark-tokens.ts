/**
 * A model's tokenizer for whoever looks for calls: special tokens are no text, but for those that a form of calls is
 * written with, as `[TOOL_CALLS]` is. So they may be written, and are read, as the text that they stand for.
 */
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { type CallForm, writeCalls } from "./call-form.ts";

/** By the marks of a form. The same for the same, so that what others keep by a tokenizer is found again. */
const made = new WeakMap<Tokenizer, Map<string, Tokenizer>>();

export function withMarks(form: CallForm, tokenizer: Tokenizer): Tokenizer {
  const call = { name: " ", arguments: " " };
  const marks = writeCalls(form, [call, call]);
  const own = made.get(tokenizer) ?? new Map<string, Tokenizer>();
  made.set(tokenizer, own);
  const known = own.get(marks) ?? showing(marks, tokenizer);
  own.set(marks, known);
  return known;
}

function showing(marks: string, tokenizer: Tokenizer): Tokenizer {
  const special = new Map<number, boolean>();
  const isSpecial = (id: number) => {
    const token = tokenizer.token(id);
    return token?.special === true && !marks.includes(token.text);
  };
  return {
    ...tokenizer,
    token(id) {
      const token = tokenizer.token(id);
      return token === null ? null : { ...token, special: isSpecial(id) };
    },
    decode(ids, { keepSpecialTokens = false } = {}) {
      const kept = ids.filter((id) => {
        const hidden = special.get(id) ?? isSpecial(id);
        special.set(id, hidden);
        return keepSpecialTokens || !hidden;
      });
      return tokenizer.decode(kept, { keepSpecialTokens: true });
    },
  };
}
