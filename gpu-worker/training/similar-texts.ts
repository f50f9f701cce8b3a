/**
 * Texts that are alike, as the loop trains and judges them. Scored pairs: the cosine of their vectors comes near to
 * the score, and its rank correlation with the scores is judged. Pairs that belong together: each text has to find its
 * own among those of its batch, and is judged by the place of its own among all that are held out. Both are compared
 * with the base's vectors.
 */
import type { Line } from "#contract/training/forms.ts";
import type { HeldOut } from "../evaluation/held-out.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { unlabelledParts } from "./checked-data.ts";
import type { DataFiles, Parts } from "./checked-data.ts";
import {
  contrastBatches,
  contrastOf,
  cosineBatches,
  encodePairs,
  takePairs,
  wholeRows,
} from "./pair-rows.ts";
import type { PairLine, PairRows } from "./pair-rows.ts";
import { cosineOf, ranksOf } from "./pair-ranks.ts";
import type { PairVectors } from "./pair-ranks.ts";
import { sentenceFiles, trainedSentence } from "./trained-sentence.ts";
import { pairedRows, picked } from "./served-rows.ts";
import type { BatchResults, HeldOutPart, TaskData, TuningData } from "./training-task.ts";

export type SimilarityData =
  | { readonly form: "pairs"; readonly parts: Parts<Line<"pairs">> }
  | { readonly form: "similarity"; readonly parts: Parts<Line<"similarity">> };

/** @throws DataError where nothing can be held out; what a source throws; the signal's reason */
export async function readSimilarityData(
  files: DataFiles,
  {
    form,
    seed,
    signal,
  }: {
    readonly form: SimilarityData["form"];
    readonly seed: number;
    readonly signal: AbortSignal;
  },
): Promise<SimilarityData> {
  const options = { seed, signal };
  return form === "pairs"
    ? { form, parts: await unlabelledParts(files, form, options) }
    : { form, parts: await unlabelledParts(files, form, options) };
}

/** Scores that are no cosines, because one lies outside of −1 … 1, are moved to 0 … 1: the least, the greatest. */
export function cosinesOf(scores: readonly number[]): (score: number) => number {
  let [least, most] = [Infinity, -Infinity];
  for (const score of scores) [least, most] = [Math.min(least, score), Math.max(most, score)];
  if (least >= -1 && most <= 1) return (score) => score;
  const width = most - least || 1;
  return (score) => Math.min(1, Math.max(0, (score - least) / width));
}

/** Each pair's two vectors, one after the other. */
function readVectors(
  results: Readonly<Record<string, Tensor>>,
  { places, count }: { places: readonly (readonly [number, number])[]; count: number },
): BatchResults {
  const { sentence_embedding: vectors, loss } = results;
  if (vectors?.dtype !== "float32") throw new TypeError("an evaluation gives vectors");
  const [, width = 0] = vectors.shape;
  const rows = places.map((pair) => {
    const both = new Float32Array(2 * width);
    for (const [half, row] of pair.entries()) {
      both.set(vectors.data.subarray(row * width, (row + 1) * width), half * width);
    }
    return both;
  });
  return { rows, loss: (Number(loss?.data[0] ?? NaN) * places.length) / count };
}

type Judge = (base: PairVectors, tuned: PairVectors) => Promise<HeldOut>;

/** @param base vectors of each pair; none: not known */
function heldOutOf(
  data: SimilarityData,
  { rows, pooling }: { readonly rows: PairRows; readonly pooling: Pooling },
  base: PairVectors,
): HeldOutPart {
  const count = rows.lines.length;
  const places = placesIn(data.form, rows);
  const judge = judgeOf(data);
  return {
    rows: wholeRows(rows),
    examples: count,
    take: (examples) => {
      const taken = { rows: takePairs(rows, examples), pooling };
      return heldOutOf(takeLines(data, examples), taken, picked(base, examples));
    },
    against: (vectors) => heldOutOf(data, { rows, pooling }, vectors),
    served: (model) => pairedRows(rows, model),
    data: {
      ...taskOf(data, rows, pooling, "heldOut"),
      read: (results, indices) => readVectors(results, { places: places(indices), count }),
      judge: (tuned) => judge(base, tuned),
    },
  };
}

/** With these of the pairs that are held out. */
function takeLines(data: SimilarityData, examples: readonly number[]): SimilarityData {
  const taken = <T>({ training, heldOut }: Parts<T>): Parts<T> => ({
    training,
    heldOut: picked(heldOut, examples),
  });
  return data.form === "pairs"
    ? { ...data, parts: taken(data.parts) }
    : { ...data, parts: taken(data.parts) };
}

function judgeOf(data: SimilarityData): Judge {
  return data.form === "pairs" ? contrastJudge(data.parts.heldOut) : scoreJudge(data.parts.heldOut);
}

const shown = ({ text, text_pair: second }: PairLine) => `${text} | ${second}`;

function contrastJudge(lines: readonly PairLine[]): Judge {
  return async (base, tuned) => ({
    kind: "ranks",
    texts: lines.map(shown),
    candidates: new Set(lines.map(({ text_pair: second }) => second)).size,
    base: { ranks: await ranksOf(lines, base) },
    tuned: { ranks: await ranksOf(lines, tuned) },
  });
}

function scoreJudge(lines: readonly Line<"similarity">[]): Judge {
  return async (base, tuned) => ({
    kind: "similarities",
    texts: lines.map(shown),
    expected: lines.map(({ score }) => score),
    base: { values: lines.map((_, at) => cosineOf(base[at])) },
    tuned: { values: lines.map((_, at) => cosineOf(tuned[at])) },
  });
}

export function similarityTuning(data: SimilarityData): TuningData {
  return {
    task: "sentence-similarity",
    head: "none",
    labels: [],
    outputs: 0,
    problem: "single_label",
    examples: data.parts.training.length,
    async encode(model, signal) {
      const sentence = trainedSentence(model.id, model.sentence);
      const { pooling, prompt } = sentence;
      const read = (lines: readonly PairLine[]) => encodePairs(lines, { model, prompt }, signal);
      const training = await read(data.parts.training);
      const rows = await read(data.parts.heldOut);
      const sizes = { width: model.hidden, maxTokens: model.limits.maxTokens };
      return {
        training: { rows: wholeRows(training), data: taskOf(data, training, pooling, "training") },
        heldOut: heldOutOf(data, { rows, pooling }, []),
        files: sentenceFiles(sentence, sizes),
      };
    },
  };
}

type Pooling = ReturnType<typeof trainedSentence>["pooling"];

function taskOf(
  data: SimilarityData,
  rows: PairRows,
  pooling: Pooling,
  part: keyof Parts<unknown>,
): TaskData {
  const task = { name: "similarity", pooling } as const;
  if (data.form === "pairs") return { task: { ...task, by: "contrast" }, ...contrastBatches(rows) };
  const cosine = cosinesOf(data.parts.training.map(({ score }) => score));
  const cosines = data.parts[part].map(({ score }) => cosine(score));
  return { task: { ...task, by: "cosine" }, ...cosineBatches(rows, cosines) };
}

/** Of the rows that a batch of these pairs has, those of each pair's two texts. */
function placesIn(
  form: SimilarityData["form"],
  rows: PairRows,
): (indices: readonly number[]) => readonly (readonly [number, number])[] {
  return (indices) => {
    const own = form === "pairs" ? contrastOf(rows, indices).own : [...indices.keys()];
    return indices.map((_, at) => [at, indices.length + (own[at] ?? 0)] as const);
  };
}
