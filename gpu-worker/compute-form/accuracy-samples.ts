/**
 * The accuracy texts as a model reads them, special tokens included: what the forms of a model are compared on, and
 * what the int8 form's ranges are measured by.
 */
import type { EncoderRow } from "../model/encoder-row.ts";
import type { OutputName } from "../model/encoder-session.ts";
import type { ModelHead } from "../model/model-head.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { accuracyQuestion, accuracyTexts } from "./int8-accuracy-texts.ts";

/** Longest of the compared inputs, special tokens included. */
const tokensMax = 64;

export type Compared = { head: ModelHead; isSentence: boolean; maxTokens: number };

/** What the model gives in the end. */
function outputsOf({ head, isSentence }: Compared): OutputName[] {
  if (isSentence) return ["sentence_embedding"];
  if (head.name === "none") return ["last_hidden_state"];
  return head.name === "question-answering" ? ["start_logits", "end_logits"] : ["logits"];
}

/** The texts as this model reads them, a row each; a masked-lm's with one token masked. */
export async function accuracySamples(
  tokenizer: Tokenizer,
  compared: Compared,
): Promise<EncoderRow[]> {
  const { head, maxTokens } = compared;
  const outputs = outputsOf(compared);
  const [question, ...texts] = await tokenizer.encode([accuracyQuestion, ...accuracyTexts]);
  const asked = head.name === "question-answering" ? (question?.ids ?? []) : null;
  const { single, pair } = tokenizer.specialTokens;
  const added = asked === null ? single : pair + asked.length;
  const room = Math.max(1, Math.min(tokensMax, maxTokens) - added);
  return texts.map(({ ids }) => {
    const kept = ids.slice(0, room);
    const row = asked === null ? tokenizer.wrap(kept) : tokenizer.wrap(asked, kept);
    const { ids: all, typeIds, starts } = row;
    if (head.name !== "masked-lm") return { ids: all, typeIds, outputs };
    const position = (starts[0] ?? 0) + (kept.length >> 1);
    const masked = all.map((id, at) => (at === position ? (tokenizer.mask?.id ?? id) : id));
    return { ids: masked, typeIds, positions: [position], outputs };
  });
}
