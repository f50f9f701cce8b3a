/** At which place each text finds its own among all candidates, by the cosines of vectors of length 1. Pure. */
import { TimeSlices } from "../event-loop/time-slices.ts";
import type { PairLine } from "./pair-rows.ts";

/** Of each pair both vectors, one after the other; none: not known. */
export type PairVectors = readonly Float32Array[];

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let at = 0; at < a.length; at += 1) sum += (a[at] ?? 0) * (b[at] ?? 0);
  return sum;
}

function halves(pair: Float32Array): readonly [Float32Array, Float32Array] {
  const width = pair.length / 2;
  return [pair.subarray(0, width), pair.subarray(width)];
}

/** 0 of what is not known. */
export function cosineOf(pair: Float32Array | undefined): number {
  return pair === undefined ? 0 : dot(...halves(pair));
}

/**
 * From 1 on. Candidates are the second texts, each once; whatever else belongs to the same text is none for it. Of
 * equally near ones its own is the last.
 */
export async function ranksOf(lines: readonly PairLine[], vectors: PairVectors): Promise<number[]> {
  const candidates = new Map<string, Float32Array>();
  const belonging = new Map<string, Set<string>>();
  for (const [at, { text, text_pair: second }] of lines.entries()) {
    const pair = vectors[at];
    if (pair !== undefined) candidates.set(second, halves(pair)[1]);
    belonging.set(text, (belonging.get(text) ?? new Set()).add(second));
  }
  const slices = new TimeSlices();
  const ranks: number[] = [];
  for (const [at, { text, text_pair: own }] of lines.entries()) {
    if (slices.over) await slices.next();
    const [first] = halves(vectors[at] ?? new Float32Array());
    const nearness = dot(first, candidates.get(own) ?? new Float32Array());
    let rank = candidates.size === 0 ? lines.length : 1;
    for (const [other, vector] of candidates) {
      const counts = belonging.get(text)?.has(other) !== true;
      if (counts && dot(first, vector) >= nearness) rank += 1;
    }
    ranks.push(rank);
  }
  return ranks;
}
