/** Texts as rows of token ids, read and cut exactly as the service reads and cuts them. */
import type { TaskInput } from "#contract/tasks.ts";
import type { EncoderRow } from "../model/encoder-row.ts";
import { InputEncoder } from "../pipelines/encode-input.ts";
import type { InputModel } from "../pipelines/encode-input.ts";
import { TokenCounter } from "../pipelines/sentence-request.ts";
import { rowsOfTexts } from "../pipelines/text-pairs.ts";

export type TrainingText = TaskInput<"text-classification">;

/** Special tokens included. */
export type TokenRow = Pick<EncoderRow, "ids" | "typeIds" | "shapes">;

/** A request's tokens are bounded; a few texts at a time stay below that. */
const textsAtOnce = 32;

/** In order. @throws CodedError for a text that the model cannot read; the signal's reason */
export async function encodeTexts(
  texts: readonly TrainingText[],
  model: Omit<InputModel, "sentence">,
  signal: AbortSignal,
): Promise<TokenRow[]> {
  const rules = { truncate: true, truncationDirection: "right", prompt: "" } as const;
  const encoder = new InputEncoder({ ...model, sentence: null }, rules, signal);
  const rows: TokenRow[] = [];
  for (let at = 0; at < texts.length; at += textsAtOnce) {
    const counter = new TokenCounter();
    const part = texts.slice(at, at + textsAtOnce);
    rows.push(...(await rowsOfTexts(part, encoder, { counter, outputs: [] })));
  }
  return rows;
}
