/**
 * Held-out rows as a model that serves is asked for them, and what judging takes of its answers: the same numbers that
 * the evaluation graph of the training gives.
 */
import type { EncoderModel } from "../model/encoder-model.ts";
import type { EncoderRow, RowResult } from "../model/encoder-row.ts";
import { behind } from "../pipelines/text-pairs.ts";
import { answerHeadOf } from "../pipelines/answer-head.ts";
import { tokenHeadOf } from "../pipelines/find-entities.ts";
import { sequenceHeadOf } from "../pipelines/sequence-head.ts";
import { spanLogits } from "../pipelines/relation-head.ts";
import { toUnitLength } from "../tensor/vectors.ts";
import type { TokenRow } from "./encode-texts.ts";
import type { RelationRow } from "./relation-rows.ts";

export type ServedRows = {
  readonly rows: readonly EncoderRow[];
  /** Rows that make one answer, in order: their numbers one after the other. */
  readonly rowsEach: number;
  /** What judging takes of a row's result. @param at its index */
  read(result: RowResult, at: number): Float32Array;
};

/** Null below: the model answers no such rows. */
type Head = Pick<EncoderModel, "head" | "sentence" | "softPrompt">;

const nothing = new Float32Array();

export function classifiedRows(rows: readonly TokenRow[], model: Head): ServedRows | null {
  const head = sequenceHeadOf(model);
  if (head === null) return null;
  return {
    rows: rows.map((row) => ({ ...behind(model.softPrompt ?? [], row), outputs: head.outputs })),
    rowsEach: 1,
    read: head.logitsOf,
  };
}

/** Of a checkpoint the whole text says it, of an adapter the marked parts. */
export function relatedRows(rows: readonly RelationRow[], model: Head): ServedRows | null {
  if (sequenceHeadOf(model) !== null) return classifiedRows(rows, model);
  const { head } = model;
  const linear = "linear" in head ? head.linear : null;
  if (linear?.pooling !== "marks") return null;
  const logitsOf = spanLogits(linear);
  return {
    rows: rows.map(({ ids }) => ({ ids, outputs: ["last_hidden_state"] })),
    rowsEach: 1,
    read: ({ last_hidden_state: states = nothing }, at) => {
      const { head: first, tail: second } = rows[at] ?? { head: [0, 0], tail: [0, 0] };
      return logitsOf(states, { head: first, tail: second });
    },
  };
}

/** Logits of each token, one after the other. */
export function taggedRows(rows: readonly TokenRow[], { head }: Head): ServedRows | null {
  if (head.name !== "token-classification") return null;
  const { output, labels, logitsOf } = tokenHeadOf({ head, id: "it" }, "model");
  return {
    rows: rows.map((row) => ({ ...row, outputs: [output] })),
    rowsEach: 1,
    read: (result, at) => {
      const ofToken = logitsOf(result);
      const length = rows[at]?.ids.length ?? 0;
      const all = new Float32Array(length * labels.length);
      for (let token = 0; token < length; token += 1) {
        all.set(ofToken(token), token * labels.length);
      }
      return all;
    },
  };
}

/** Logits of the answer's beginning, then of its end. */
export function answeringRows(rows: readonly TokenRow[], { head }: Head): ServedRows | null {
  if (head.name !== "question-answering") return null;
  const { outputs, logitsOf } = answerHeadOf({ head, id: "it" });
  return {
    rows: rows.map(({ ids, typeIds }) => ({ ids, ...(typeIds && { typeIds }), outputs })),
    rowsEach: 1,
    read: (result) => {
      const { start_logits: start = nothing, end_logits: end = nothing } = logitsOf(result);
      return joined([start, end]);
    },
  };
}

/** Vectors of both texts of each pair. */
export function pairedRows(
  {
    firsts,
    seconds,
  }: { readonly firsts: readonly TokenRow[]; readonly seconds: readonly TokenRow[] },
  { sentence }: Head,
): ServedRows | null {
  if (sentence === null) return null;
  const outputs = ["sentence_embedding"] as const;
  return {
    rows: firsts.flatMap((first, at) => {
      const second = seconds[at];
      return second === undefined
        ? []
        : [
            { ...first, outputs },
            { ...second, outputs },
          ];
    }),
    rowsEach: 2,
    read: ({ sentence_embedding: vector = nothing }) => toUnitLength(vector),
  };
}

/** Those of these indices. */
export function picked<T>(values: readonly T[], indices: readonly number[]): T[] {
  return indices.flatMap((at) => {
    const value = values[at];
    return value === undefined ? [] : [value];
  });
}

/** One after the other. */
export function joined(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let from = 0;
  for (const part of parts) {
    whole.set(part, from);
    from += part.length;
  }
  return whole;
}
