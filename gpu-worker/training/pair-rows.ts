/**
 * Pairs of texts as rows of token ids, and which rows make a batch. Pure but for the reading.
 */
import type { Line } from "#contract/training/forms.ts";
import { float32, int64 } from "../tensor/tensor.ts";
import { encodeTexts } from "./encode-texts.ts";
import type { TokenRow } from "./encode-texts.ts";
import { picked } from "./served-rows.ts";
import type { BatchData, TrainedModel } from "./training-task.ts";

export type PairLine = Pick<Line<"pairs">, "text" | "text_pair" | "negative">;

export type PairRows = {
  readonly lines: readonly PairLine[];
  readonly firsts: readonly TokenRow[];
  readonly seconds: readonly TokenRow[];
  /** Null: the pair has none. */
  readonly negatives: readonly (TokenRow | null)[];
};

/** @throws CodedError for a text that the model cannot read; the signal's reason */
export async function encodePairs(
  lines: readonly PairLine[],
  { model, prompt }: { readonly model: TrainedModel; readonly prompt: string },
  signal: AbortSignal,
): Promise<PairRows> {
  const encode = (texts: readonly string[]) =>
    encodeTexts(
      texts.map((text) => prompt + text),
      model,
      signal,
    );
  const firsts = await encode(lines.map(({ text }) => text));
  const seconds = await encode(lines.map(({ text_pair: second }) => second));
  const contrary = (await encode(lines.flatMap(({ negative }) => negative ?? []))).values();
  const negatives = lines.map(({ negative }) =>
    negative === undefined ? null : (contrary.next().value ?? null),
  );
  return { lines, firsts, seconds, negatives };
}

/** All tokens of each pair in one row: how long it is. */
export function wholeRows({ firsts, seconds, negatives }: PairRows): TokenRow[] {
  return firsts.map(({ ids }, at) => ({
    ids: [...ids, ...(seconds[at]?.ids ?? []), ...(negatives[at]?.ids ?? [])],
  }));
}

/** Of these pairs. */
export function takePairs(pairs: PairRows, indices: readonly number[]): PairRows {
  return {
    lines: picked(pairs.lines, indices),
    firsts: picked(pairs.firsts, indices),
    seconds: picked(pairs.seconds, indices),
    negatives: picked(pairs.negatives, indices),
  };
}

export type Contrast = {
  readonly rows: readonly TokenRow[];
  /** Of each text, the index of what belongs to it among the candidates. */
  readonly own: readonly number[];
};

/**
 * Texts, then candidates: what belongs to each of them, and the negatives. A text that stands there twice is one
 * candidate, or it would count against itself.
 */
export function contrastOf(pairs: PairRows, indices: readonly number[]): Contrast {
  const places = new Map<string, number>();
  const candidates: TokenRow[] = [];
  const place = (text: string, row: TokenRow | null | undefined): number => {
    const known = places.get(text);
    if (known !== undefined) return known;
    if (row) candidates.push(row);
    places.set(text, candidates.length - 1);
    return candidates.length - 1;
  };
  const own = indices.map((at) => place(pairs.lines[at]?.text_pair ?? "", pairs.seconds[at]));
  for (const at of indices) {
    const { negative } = pairs.lines[at] ?? {};
    if (negative !== undefined) place(negative, pairs.negatives[at]);
  }
  return { rows: [...picked(pairs.firsts, indices), ...candidates], own };
}

/** As the task `similarity` by contrast reads them. */
export function contrastBatches(pairs: PairRows): BatchData {
  return {
    rowsOf: (indices) => contrastOf(pairs, indices).rows,
    feeds: (indices) => ({ labels: int64([indices.length], contrastOf(pairs, indices).own) }),
  };
}

/** As the task `similarity` by cosine reads them. @param cosines what each pair's should be */
export function cosineBatches(pairs: PairRows, cosines: readonly number[]): BatchData {
  return {
    rowsOf: (indices) => [...picked(pairs.firsts, indices), ...picked(pairs.seconds, indices)],
    feeds: (indices) => ({
      labels: float32(
        [indices.length],
        indices.map((at) => cosines[at] ?? 0),
      ),
    }),
  };
}
