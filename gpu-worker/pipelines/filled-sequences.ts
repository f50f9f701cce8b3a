/** Texts with one mask filled, decoded by the tokenizer off the event loop, some at a time. */
import type { Filling } from "#contract/tasks/fill-mask.ts";
import type { TimeSlices } from "../event-loop/time-slices.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import type { ResultSize } from "./result-size.ts";
import type { TopScore } from "./top-scores.ts";

/** Tokens that are decoded in one call: some tens of milliseconds of another thread. */
const tokensPerCall = 65_536;

type MaskedText = {
  /** With special tokens. */
  readonly ids: readonly number[];
  /** Of its masks. */
  readonly positions: readonly number[];
};

type Tools = { model: Pick<EncoderModel, "tokenizer">; slices: TimeSlices; size: ResultSize };

/**
 * @param best what may stand at each mask, the best first
 * @returns the same as callers get it
 * @throws CodedError for a result that has become too large; the signal's reason
 */
export async function filledSequences(
  { ids, positions }: MaskedText,
  best: readonly (readonly TopScore[])[],
  { model: { tokenizer }, slices, size }: Tools,
): Promise<Filling[][]> {
  const fillings = best.flatMap((scores, mask) => scores.map((score) => ({ ...score, mask })));
  const perCall = Math.max(1, Math.floor(tokensPerCall / ids.length));
  const filled: Filling[][] = best.map(() => []);
  for (let from = 0; from < fillings.length; from += perCall) {
    const some = fillings.slice(from, from + perCall);
    const sequences = await slices.map(some, ({ at: token, mask }) =>
      ids
        .map((id, at) => (at === positions[mask] ? token : id))
        .filter((id) => id !== tokenizer.paddingId),
    );
    // Masks that are left are special tokens, and must be visible in the sequence.
    const texts = await tokenizer.decodeAll(sequences, { keepSpecialTokens: positions.length > 1 });
    await slices.map(some, ({ at: token, score, mask }, index) => {
      const token_str = tokenizer.decode([token], { keepSpecialTokens: true });
      const sequence = texts[index] ?? "";
      size.add(sequence.length + token_str.length);
      filled[mask]?.push({ sequence, score, token, token_str });
    });
  }
  return filled;
}
