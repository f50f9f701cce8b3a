/**
 * Word embeddings of the tokens that a training reads. Another token's row has no gradient, and AdamW's states of it
 * stay 0: a step changes it by decoupled weight decay alone (https://arxiv.org/abs/1711.05101), all such rows by one
 * factor. So the table that is trained has a row of each token that is read, and one of ones, which no token has: it
 * becomes the product of the factors. What comes out is what the whole table would have become. Not for a head that
 * scores the vocabulary, which reads all rows.
 */
import { tensor } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { layeredWeights } from "../weights/memory-weights.ts";
import { readFloat32 } from "../weights/read-float32.ts";
import { WeightError } from "../weights/weight-source.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import type { TokenRow } from "./encode-texts.ts";

export type ReadWords = {
  /** The name of the whole table, and of the one that is trained. */
  readonly table: string;
  /** Tokens, in the order of its rows. */
  readonly words: readonly number[];
};

type Part = { readonly rows: readonly TokenRow[] };

/** Tokens of the data, and of what fills rows up. */
export function wordsOf(parts: readonly Part[], paddingId: number): number[] {
  const words = new Set([paddingId]);
  for (const { rows } of parts) {
    for (const { ids } of rows) for (const id of ids) words.add(id);
  }
  return [...words].toSorted((a, b) => a - b);
}

/** `weights` with the table that is trained, read anew each time. Closing it closes `weights`. */
export function withReadWords(weights: WeightSource, { table, words }: ReadWords): WeightSource {
  const [, width = 0] = weights.entry(table)?.shape ?? [];
  const shape = [words.length + 1, width];
  const length = (words.length + 1) * width;
  const byteLength = length * Float32Array.BYTES_PER_ELEMENT;
  const entry = { name: table, dtype: "float32", shape, byteLength } as const;
  const only: WeightSource = {
    metadata: {},
    names: () => [table],
    entry: (name) => (name === table ? entry : null),
    read: () => {
      const whole = readFloat32(weights, table);
      const rows = new Float32Array(length).fill(1);
      for (const [at, word] of words.entries()) {
        rows.set(whole.subarray(word * width, (word + 1) * width), at * width);
      }
      return tensor("float32", shape, rows);
    },
    close: () => undefined,
  };
  return layeredWeights(only, weights);
}

/** `tensors` with the whole table in the place of the one that was trained. @param weights as they began */
export function withWholeTable(
  tensors: ReadonlyMap<string, Tensor>,
  weights: WeightSource,
  { table, words }: ReadWords,
): Map<string, Tensor> {
  const trained = tensors.get(table);
  const shape = weights.entry(table)?.shape ?? [];
  const [, width = 0] = shape;
  if (trained?.dtype !== "float32") throw new WeightError(`"${table}" was not trained`);
  const factor = trained.data[words.length * width] ?? NaN;
  const whole = readFloat32(weights, table).map((value) => value * factor);
  for (const [at, word] of words.entries()) {
    whole.set(trained.data.subarray(at * width, (at + 1) * width), word * width);
  }
  return new Map([...tensors, [table, tensor("float32", shape, whole)]]);
}
