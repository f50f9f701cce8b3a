/**
 * Continued pre-training of an encoder on plain texts, by masks that differ from batch to batch. Held-out texts have
 * the same masks each time, and their perplexity is that of the tokens that are asked for.
 */
import type { ModelHead } from "../model/model-head.ts";
import { logLikelihood } from "../tensor/activations.ts";
import { int64 } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { DataError } from "./checked-data.ts";
import type { DecoderData } from "./decoder-data.ts";
import { encodeWindows, maskBatch } from "./masked-rows.ts";
import type { MaskedWindow, MaskRules, TextWindow } from "./masked-rows.ts";
import { picked } from "./served-rows.ts";
import type { ServedRows } from "./served-rows.ts";
import type { BatchResults, HeldOutPart, TaskData, TuningData } from "./training-task.ts";

export type PlainTexts = Extract<DecoderData, { task: "pretraining" }>;

/** More would tell little more and take long at each evaluation. */
const heldOutWindowsMax = 2_000;

function taskOf(
  windows: readonly TextWindow[],
  rules: MaskRules,
): TaskData & Required<Pick<TaskData, "rowsOf">> {
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

type Masked = {
  /** All that are held out: each has the masks of its place among them. */
  readonly windows: readonly TextWindow[];
  readonly shown: readonly string[];
  readonly rules: MaskRules;
};

/**
 * @param places those of the windows that are judged
 * @param base sums of each of them; none: not known
 */
function heldOutOf(
  masked: Masked,
  places: readonly number[],
  base: readonly Float32Array[],
): HeldOutPart {
  const { windows, shown, rules } = masked;
  const all = taskOf(windows, rules);
  const of = (indices: readonly number[]) => picked(places, indices);
  const asked = maskBatch(windows, places, { rules, draw: 0 });
  const tokens = asked.map(({ labels }) => labels.length);
  const total = tokens.reduce((sum, count) => sum + count, 0);
  const sums = (rows: readonly Float32Array[]) => ({
    logLikelihoods: tokens.map((_, at) => rows[at]?.[0] ?? 0),
  });
  return {
    rows: picked(windows, places),
    examples: places.length,
    take: (examples) => heldOutOf(masked, of(examples), picked(base, examples)),
    against: (scores) => heldOutOf(masked, places, scores),
    served: ({ head }) => filledRows(asked, head),
    data: {
      task: all.task,
      rowsOf: (indices, draw) => all.rowsOf(of(indices), draw),
      feeds: (indices, longest, draw) => all.feeds(of(indices), longest, draw),
      read: (results, indices) =>
        readScores(results, { counts: picked(tokens, indices), all: total }),
      judge: (tuned) => ({
        kind: "texts",
        texts: picked(shown, places),
        tokens,
        base: sums(base),
        tuned: sums(tuned),
      }),
    },
  };
}

/** As a model that fills masks is asked for them. */
function filledRows(asked: readonly MaskedWindow[], head: ModelHead): ServedRows | null {
  if (head.name !== "masked-lm") return null;
  return {
    rows: asked.map(({ ids, positions }) => ({ ids, positions, outputs: ["logits"] })),
    rowsEach: 1,
    read({ logits = new Float32Array() }, at) {
      const { labels = [] } = asked[at] ?? {};
      const width = logits.length / labels.length;
      const likelihoods = labels.map((label, place) =>
        logLikelihood(logits.subarray(place * width, (place + 1) * width), label),
      );
      return Float32Array.of(likelihoods.reduce((total, each) => total + each, 0));
    },
  };
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
        heldOut: heldOutOf({ windows: judged, shown, rules }, [...judged.keys()], []),
      };
    },
  };
}
