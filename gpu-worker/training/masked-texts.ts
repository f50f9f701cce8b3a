/**
 * Continued pre-training of an encoder on plain texts, by masks that differ from batch to batch. Held-out texts have
 * the same masks each time, and their perplexity is that of the tokens that are asked for.
 */
import { int64 } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { DataError } from "./checked-data.ts";
import type { DecoderData } from "./decoder-data.ts";
import { encodeWindows, maskBatch } from "./masked-rows.ts";
import type { MaskRules, TextWindow } from "./masked-rows.ts";
import type { BatchResults, HeldOutData, TaskData, TuningData } from "./training-task.ts";

export type PlainTexts = Extract<DecoderData, { task: "pretraining" }>;

/** More would tell little more and take long at each evaluation. */
const heldOutWindowsMax = 2_000;

function taskOf(windows: readonly TextWindow[], rules: MaskRules): TaskData {
  const masks = (indices: readonly number[], draw: number) =>
    maskBatch(windows, indices, { rules, draw });
  return {
    task: { name: "masked-lm" },
    rowsOf: (indices, draw) => masks(indices, draw).map(({ ids }) => ({ ids })),
    feeds: (indices, longest, draw) => {
      const masked = masks(indices, draw);
      const positions = masked.flatMap((each, row) =>
        each.positions.map((at) => row * longest + at),
      );
      const labels = masked.flatMap((each) => each.labels);
      return {
        positions: int64([positions.length], positions),
        labels: int64([labels.length], labels),
      };
    },
  };
}

/** Log likelihoods of a batch's tokens as a sum for each window. */
function readScores(
  results: Readonly<Record<string, Tensor>>,
  { counts, all }: { readonly counts: readonly number[]; readonly all: number },
): BatchResults {
  const { log_likelihoods: scores } = results;
  if (scores?.dtype !== "float32") throw new TypeError("an evaluation gives log likelihoods");
  let from = 0;
  const sums = counts.map((count) => {
    const own = scores.data.subarray(from, (from += count));
    return own.reduce((sum, value) => sum + value, 0);
  });
  const total = sums.reduce((sum, value) => sum + value, 0);
  return { rows: sums.map((sum) => Float32Array.of(sum)), loss: -total / all };
}

function heldOutOf(
  windows: readonly TextWindow[],
  { rules, shown }: { readonly rules: MaskRules; readonly shown: readonly string[] },
): HeldOutData {
  const task = taskOf(windows, rules);
  const countsOf = (indices: readonly number[]) =>
    maskBatch(windows, indices, { rules, draw: 0 }).map(({ labels }) => labels.length);
  const tokens = countsOf([...windows.keys()]);
  const all = tokens.reduce((sum, count) => sum + count, 0);
  const sums = (rows: readonly Float32Array[]) => ({
    logLikelihoods: tokens.map((_, at) => rows[at]?.[0] ?? 0),
  });
  const against = (base: readonly Float32Array[]): HeldOutData => ({
    ...task,
    read: (results, indices) => readScores(results, { counts: countsOf(indices), all }),
    judge: (tuned) => ({
      kind: "texts",
      texts: shown,
      tokens,
      base: sums(base),
      tuned: sums(tuned),
    }),
    against,
  });
  return against([]);
}

export function maskedTuning({ parts: { training, heldOut } }: PlainTexts): TuningData {
  return {
    task: "pretraining",
    head: "masked-lm",
    labels: [],
    outputs: 0,
    problem: "single_label",
    examples: training.length,
    async encode({ id, tokenizer, limits }, signal) {
      const { mask } = tokenizer;
      if (mask === null) throw new DataError(`${id} has no mask token, so it is not pre-trained`);
      const rules = { maskId: mask.id, vocabulary: limits.vocabularySize };
      const read = (texts: readonly string[]) =>
        encodeWindows(texts, { tokenizer, maxTokens: limits.maxTokens }, signal);
      const trained = await read(training);
      const judged = (await read(heldOut)).slice(0, heldOutWindowsMax);
      if (trained.length === 0 || judged.length === 0) {
        throw new DataError(`${id} makes no token of the texts`);
      }
      const shown = await tokenizer.decodeAll(
        judged.map(({ ids, from, to }) => ids.slice(from, to)),
      );
      return {
        training: { rows: trained, data: taskOf(trained, rules) },
        heldOut: { rows: judged, data: heldOutOf(judged, { rules, shown }) },
      };
    },
  };
}
