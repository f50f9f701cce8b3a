/**
 * The accuracy texts as a model reads them, special tokens included: what the forms of a model are compared on, and what the
 * int8 form's ranges are measured by.
 */
import type { Session } from "../runtime/session.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { accuracyQuestion, accuracyTexts } from "./int8-accuracy-texts.ts";
import type { LoadedHead } from "./loaded-model.ts";

type Feeds = Parameters<Session["run"]>[0];
export type AccuracySample = { ids: number[]; typeIds: number[]; position: number };

/** Longest of the compared inputs, special tokens included. */
const tokensMax = 64;

export type Compared = { head: LoadedHead; isSentence: boolean; maxTokens: number };

/** The texts as this model reads them; a masked-lm's with one token masked. */
export async function accuracySamples(
  tokenizer: Tokenizer,
  { head, maxTokens }: Compared,
): Promise<AccuracySample[]> {
  const [question, ...texts] = await tokenizer.encode([accuracyQuestion, ...accuracyTexts]);
  const asked = head.name === "question-answering" ? (question?.ids ?? []) : null;
  const { single, pair } = tokenizer.specialTokens;
  const added = asked === null ? single : pair + asked.length;
  const room = Math.max(1, Math.min(tokensMax, maxTokens) - added);
  return texts.map(({ ids }) => {
    const kept = ids.slice(0, room);
    const {
      ids: all,
      typeIds,
      starts,
    } = asked === null ? tokenizer.wrap(kept) : tokenizer.wrap(asked, kept);
    const position = (starts[0] ?? 0) + (kept.length >> 1);
    const masked = head.name === "masked-lm" ? tokenizer.mask : null;
    const read = all.map((id, at) => (masked !== null && at === position ? masked.id : id));
    return { ids: read, typeIds, position };
  });
}

/** [1, sequence]. */
function grid(values: readonly number[]) {
  const data = BigInt64Array.from(values, BigInt);
  return { dtype: "int64" as const, shape: [1, values.length], data };
}

export function feedsOf(session: Session, { ids, typeIds, position }: AccuracySample): Feeds {
  const all: Feeds = {
    input_ids: grid(ids),
    attention_mask: grid(ids.map(() => 1)),
    pooling_mask: grid(ids.map(() => 1)),
    token_type_ids: grid(typeIds),
    positions: { ...grid([position]), shape: [1] },
  };
  const wanted = new Set(session.inputs.map(({ name }) => name));
  return Object.fromEntries(Object.entries(all).filter(([name]) => wanted.has(name)));
}
