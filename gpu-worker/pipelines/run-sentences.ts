/**
 * The run stage of every sentence task: one batch of token sequences through the model, a vector for each.
 * Rows are padded to the longest with zeros that the attention mask hides.
 */
import type { Tensor } from "../tensor/tensor.ts";
import type { SentenceEncoder } from "./sentence-encoder.ts";

export type SentenceRow = {
  /** With special tokens. */
  ids: readonly number[];
  /** What becomes of the vector: as the model is configured, scaled to length 1, or as pooled. */
  scale: "configured" | "unit" | "none";
};

type SentenceOutput = "sentence_embedding" | "pooled";

/** @returns a vector `[hidden]` f32 of its own memory per row, in order */
export async function runSentences(
  rows: readonly SentenceRow[],
  model: SentenceEncoder,
  signal: AbortSignal,
): Promise<Float32Array[]> {
  const wanted = rows.map(outputOf);
  const result = await model.session.run(feedsOf(rows, model), {
    outputs: [...new Set(wanted)],
    signal,
  });
  return rows.map((row, index) => {
    const vector = rowOf(result, wanted[index] ?? "pooled", index);
    return row.scale === "unit" ? toUnitLength(vector) : vector;
  });
}

function outputOf(row: SentenceRow): SentenceOutput {
  return row.scale === "none" ? "pooled" : "sentence_embedding";
}

function feedsOf(rows: readonly SentenceRow[], model: SentenceEncoder): Record<string, Tensor> {
  const sequence = rows.reduce((longest, row) => Math.max(longest, row.ids.length), 0);
  const shape = [rows.length, sequence];
  const ids = new BigInt64Array(rows.length * sequence);
  const mask = new BigInt64Array(rows.length * sequence);
  // Through 32-bit halves, low half first, because a BigInt per token costs more than the copy itself.
  const idHalves = new Int32Array(ids.buffer);
  const maskHalves = new Int32Array(mask.buffer);
  for (const [row, { ids: tokens }] of rows.entries()) {
    let at = row * sequence * 2;
    for (const token of tokens) {
      idHalves[at] = token;
      maskHalves[at] = 1;
      at += 2;
    }
  }
  const feeds: Record<string, Tensor> = {
    input_ids: { dtype: "int64", shape, data: ids },
    attention_mask: { dtype: "int64", shape, data: mask },
  };
  if (model.session.inputs.some((input) => input.name === "token_type_ids")) {
    const data = new BigInt64Array(rows.length * sequence);
    feeds["token_type_ids"] = { dtype: "int64", shape, data };
  }
  return feeds;
}

function rowOf(result: Record<string, Tensor>, name: SentenceOutput, index: number): Float32Array {
  const output = result[name];
  if (output === undefined || output.dtype !== "float32") {
    throw new TypeError(`the model gave no float32 output ${name}`);
  }
  const hidden = output.shape[1] ?? 0;
  return output.data.slice(index * hidden, (index + 1) * hidden);
}

function toUnitLength(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  return length === 0 ? vector : vector.map((value) => value / length);
}
