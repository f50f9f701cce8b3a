/**
 * Which examples make which batch, by a seed alone: texts of like lengths together, so that little is padding, and yet
 * in an order that differs from epoch to epoch. Pure.
 */
import { randomFrom } from "#contract/random.ts";
import type { Random } from "#contract/random.ts";
import { int64 } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { TokenRow } from "./encode-texts.ts";

export type BatchOptions = {
  /** Examples of a batch. */
  readonly size: number;
  readonly seed: number;
  /** Counted from 0. */
  readonly epoch: number;
};

/** No epoch's. */
const sampleDraw = 0x7fffffff;

/** Texts are sorted by length among as many as make so many batches: more would make all epochs alike. */
const batchesSorted = 16;

/** Fisher and Yates. */
export function shuffled<T>(values: readonly T[], random: Random): T[] {
  const list = [...values];
  for (let at = list.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    const [a, b] = [list[at], list[other]];
    if (a !== undefined && b !== undefined) [list[at], list[other]] = [b, a];
  }
  return list;
}

function chunks<T>(values: readonly T[], size: number): T[][] {
  const count = Math.ceil(values.length / size);
  return Array.from({ length: count }, (_, at) => values.slice(at * size, (at + 1) * size));
}

/** A number of its own for each of a seed's draws. */
export function mixSeeds(seed: number, draw: number): number {
  return (Math.imul(seed, 0x9e3779b1) ^ Math.imul(draw + 1, 0x85ebca6b)) >>> 0;
}

/** Indices of one epoch's examples by batch; each stands in one of them. */
export function batchesOf(
  lengths: readonly number[],
  { size, seed, epoch }: BatchOptions,
): number[][] {
  const random = randomFrom(mixSeeds(seed, epoch));
  const order = shuffled([...lengths.keys()], random);
  const byLength = (a: number, b: number) => (lengths[b] ?? 0) - (lengths[a] ?? 0) || a - b;
  const batches = chunks(order, size * batchesSorted).flatMap((part) =>
    chunks(part.toSorted(byLength), size),
  );
  return shuffled(batches, random);
}

/** So many of `count`, by the seed alone: of fewer the first ones drawn. Ascending. */
export function sampleOf(count: number, size: number, seed: number): number[] {
  const order = shuffled([...Array(count).keys()], randomFrom(mixSeeds(seed, sampleDraw)));
  return order.slice(0, size).toSorted((a, b) => a - b);
}

/** Batches of similar lengths, for evaluations: the longest first, so that memory is short at once or never. */
export function evaluationBatches(lengths: readonly number[], size: number): number[][] {
  const byLength = (a: number, b: number) => (lengths[b] ?? 0) - (lengths[a] ?? 0) || a - b;
  return chunks([...lengths.keys()].toSorted(byLength), size);
}

/**
 * `input_ids`, `attention_mask`, `token_type_ids` and `word_shapes`, int64 [batch, sequence], padded on the right.
 */
export function rowFeeds(rows: readonly TokenRow[], paddingId: number): Record<string, Tensor> {
  const longest = Math.max(...rows.map(({ ids }) => ids.length));
  const shape = [rows.length, longest];
  const grid = (of: (row: TokenRow) => readonly number[], filling: number) => {
    const padded = rows.flatMap((row) => {
      const own = of(row);
      return [...own, ...Array.from({ length: longest - own.length }, () => filling)];
    });
    return int64(shape, padded);
  };
  return {
    input_ids: grid(({ ids }) => ids, paddingId),
    attention_mask: grid(({ ids }) => ids.map(() => 1), 0),
    token_type_ids: grid((row) => row.typeIds ?? row.ids.map(() => 0), 0),
    word_shapes: grid((row) => row.shapes ?? row.ids.map(() => 0), 0),
  };
}
