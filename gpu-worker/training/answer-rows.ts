/**
 * Questions and the passages that answer them as rows of token ids, read and cut by windows exactly as the service
 * reads them. A window that does not hold the answer whole says that there is none, by its first special token (Devlin
 * et al., https://arxiv.org/abs/1810.04805, 4.3).
 */
import { CodedError } from "#contract/errors.ts";
import type { Line } from "#contract/training/forms.ts";
import { answersOf } from "../datasets/check-example.ts";
import { codePointsIn } from "../datasets/code-points.ts";
import { encodePassages } from "../pipelines/question-answering.ts";
import type { Passage, PassageWindow } from "../pipelines/question-answering.ts";
import type { InputModel } from "../pipelines/encode-input.ts";
import type { Span } from "../pipelines/offsets.ts";
import { TokenCounter } from "../pipelines/sentence-request.ts";
import { utf16Offsets } from "../tokenizer/utf16-offsets.ts";
import { DataError } from "./checked-data.ts";
import type { TokenRow } from "./encode-texts.ts";

export type AnswerExample = Line<"question-answering">;

/** `ends`: the answer's first and last token by their index in the row, the same special token for none. */
export type AnswerRow = TokenRow & { readonly window: PassageWindow; readonly ends: Span };

export type AnswerRows = {
  readonly rows: readonly AnswerRow[];
  /** Of each example. */
  readonly passages: readonly Passage[];
};

/** torch.nn.CrossEntropyLoss's: the window says nothing. */
const notCounted = -100;

/** Characters. */
const questionShown = 60;

type AnswerModel = Omit<InputModel, "sentence">;

/** The first answer in UTF-16 code units; null: the text has none. */
function answerSpan(example: AnswerExample): Span | null {
  const [first] = answersOf(example) ?? [];
  if (first === undefined) return null;
  const offsets = utf16Offsets(example.context);
  const { text, answer_start: start } = first;
  return [offsets(start), offsets(start + codePointsIn(text))];
}

/** First and last token of a passage that share a character with the answer; null: none does. */
function tokensOf([start, end]: Span, { tokenSpans }: Passage): Span | null {
  const overlaps = (span: Span) => span[0] < end && span[1] > start;
  const first = tokenSpans.findIndex(overlaps);
  return first === -1 ? null : [first, tokenSpans.findLastIndex(overlaps)];
}

function endsIn({ from, to, start }: PassageWindow, tokens: Span | null): Span {
  const none = start === 0 ? notCounted : 0;
  if (tokens === null || tokens[0] < from || tokens[1] >= to) return [none, none];
  return [start + tokens[0] - from, start + tokens[1] - from];
}

/** @throws DataError that names the question, for what the model cannot read; the signal's reason */
async function encodeOne(example: AnswerExample, model: AnswerModel, signal: AbortSignal) {
  const options = { parameters: {}, counter: new TokenCounter(), signal };
  try {
    return await encodePassages([example], model, options);
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    const start = JSON.stringify(example.question.slice(0, questionShown));
    throw new DataError(`the example with the question ${start}: ${error.message}`);
  }
}

/** In order. Throws as `encodeOne`. */
export async function encodeAnswers(
  examples: readonly AnswerExample[],
  model: AnswerModel,
  signal: AbortSignal,
): Promise<AnswerRows> {
  const rows: AnswerRow[] = [];
  const passages: Passage[] = [];
  for (const [input, example] of examples.entries()) {
    const read = await encodeOne(example, model, signal);
    const [passage] = read.passages;
    if (passage === undefined) continue;
    const span = answerSpan(example);
    const tokens = span === null ? null : tokensOf(span, passage);
    for (const [at, { ids, typeIds }] of read.rows.entries()) {
      const window = read.windows[at];
      if (window === undefined) continue;
      const row = { ids, window: { ...window, input }, ends: endsIn(window, tokens) };
      rows.push(typeIds === undefined ? row : { ...row, typeIds });
    }
    passages.push(passage);
  }
  return { rows, passages };
}
