/**
 * The head that classifies whole sequences, wherever it is computed: in the graph, or beside it on a shared backbone.
 * Says which outputs of a row are wanted and makes the row's logits of them.
 */
import type { EncoderModel } from "../model/encoder-model.ts";
import type { OutputName } from "../model/encoder-session.ts";
import type { LinearHead } from "../model/linear-head.ts";
import { linearLogits, poolTokens } from "./linear-head.ts";
import type { EncoderRow, RowResult } from "../model/encoder-row.ts";

type Classifier = Extract<EncoderModel["head"], { labels: readonly string[] }>;

export type SequenceHead = Pick<Classifier, "labels" | "problem" | "crossEncoder"> & {
  readonly outputs: readonly OutputName[];
  /** Numbers in a row's result, about. */
  floatsOf(row: EncoderRow): number;
  /** f32 `[labels]`. */
  logitsOf(result: RowResult): Float32Array;
};

/** Null where the model classifies no sequences, or only spans within them. */
export function sequenceHeadOf(
  model: Pick<EncoderModel, "head" | "sentence">,
): SequenceHead | null {
  const { head, sentence } = model;
  if (head.name !== "sequence-classification") return null;
  const { linear, ...classes } = head;
  const { labels } = classes;
  const read =
    linear === null ? readLogits(labels.length) : readLinear(linear, sentence?.pooling ?? null);
  return read === null ? null : { ...classes, ...read };
}

type LogitReader = Pick<SequenceHead, "outputs" | "floatsOf" | "logitsOf">;

function readLogits(labels: number): LogitReader {
  return {
    outputs: ["logits"],
    floatsOf: () => labels,
    logitsOf: ({ logits }) => logits ?? new Float32Array(),
  };
}

/** @param pooled what the graph's own `pooled` is; null: it has none */
function readLinear(
  head: LinearHead,
  pooled: NonNullable<EncoderModel["sentence"]>["pooling"] | null,
): LogitReader | null {
  const { pooling, weight, bias } = head;
  if (pooling === "spans" || pooling === "marks" || pooling === "none") return null;
  const width = weight.length / bias.length;
  if (pooling === pooled) {
    return {
      outputs: ["pooled"],
      floatsOf: () => width,
      logitsOf: (result) => linearLogits(result.pooled ?? new Float32Array(), head),
    };
  }
  return {
    outputs: ["last_hidden_state"],
    floatsOf: ({ ids }) => ids.length * width,
    logitsOf: ({ last_hidden_state: states = new Float32Array() }) =>
      linearLogits(poolTokens(states, width, pooling), head),
  };
}
