/**
 * The best answers within one window of a passage, by the rules of transformers' QuestionAnsweringPipeline: softmax of
 * start and of end logits over the passage's tokens and the first special token, which stands for "no answer"; an
 * answer's score is the product of its two probabilities.
 */
import type { TimeSlices } from "../event-loop/time-slices.ts";
import { softmax } from "../tensor/activations.ts";
import { TopK } from "./top-k.ts";

export type WindowLogits = {
  /** Of each token of the passage in the window. */
  readonly starts: Float32Array;
  readonly ends: Float32Array;
  /** Of the first special token. */
  readonly none: { readonly start: number; readonly end: number };
};

/** Tokens of the window, both part of the answer. */
export type AnswerSpan = { start: number; end: number; score: number };

export type SpanRules = {
  topK: number;
  /** Tokens of an answer. */
  lengthMax: number;
  /** Whether an answer may start or end with a token. */
  mayBound(token: number): boolean;
};

export type WindowAnswers = {
  /** The best first. */
  spans: AnswerSpan[];
  /** Score of "no answer". */
  none: number;
};

/** @throws the signal's reason, from `slices` */
export async function bestSpans(
  { starts, ends, none }: WindowLogits,
  { topK, lengthMax, mayBound }: SpanRules,
  slices: TimeSlices,
): Promise<WindowAnswers> {
  const [noStart = 0, ...startScores] = softmax([none.start, ...starts]);
  const [noEnd = 0, ...endScores] = softmax([none.end, ...ends]);
  const bounds = startScores.map((_, token) => mayBound(token));
  const endMost = endScores.reduce((a, b) => Math.max(a, b), 0);
  const best = new TopK<Omit<AnswerSpan, "score">>(topK);
  for (const [start, startScore] of startScores.entries()) {
    // Most tokens start no answer that is good enough, whatever its end.
    if (!bounds[start] || !best.accepts(startScore * endMost)) continue;
    if (slices.over) await slices.next();
    const last = Math.min(endScores.length, start + lengthMax);
    for (let end = start; end < last; end += 1) {
      const score = startScore * (endScores[end] ?? 0);
      if (bounds[end] && best.accepts(score)) best.add({ start, end }, score);
    }
  }
  const spans = best.inOrder().map(({ item, score }) => ({ ...item, score }));
  return { spans, none: noStart * noEnd };
}
