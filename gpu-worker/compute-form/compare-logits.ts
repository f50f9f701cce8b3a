/**
 * Two forms' logits of one text. Called on a thread, because it takes a vocabulary's worth of exponentials for each
 * token; a module of its own, because a thread loads whatever its module imports.
 */
import type { DecoderSample } from "./decoder-samples.ts";

/** For whoever starts the thread. */
export const module = import.meta.url;

/** By so little of log probability ties turn over in any form, and the text is as good. */
const tie = 0.2;

/** Sums over the places of a text. */
export type Sums = { divergence: number; logprobShift: number; agreeing: number; places: number };

/**
 * @param exact logits of the decoder in f32, a row of the vocabulary for each token
 * @param found the same in another form
 */
export function compareLogits(
  exact: Float32Array,
  found: Float32Array,
  { ids, from }: DecoderSample,
): Sums {
  const width = exact.length / ids.length;
  const sums = { divergence: 0, logprobShift: 0, agreeing: 0, places: ids.length - from };
  for (let at = from - 1; at < ids.length - 1; at += 1) {
    const p = describe(exact.subarray(at * width, (at + 1) * width));
    const q = describe(found.subarray(at * width, (at + 1) * width));
    const next = ids[at + 1] ?? 0;
    sums.divergence += divergence(p, q);
    sums.logprobShift += Math.abs(logprob(p, next) - logprob(q, next));
    if (logprob(p, p.first) - logprob(p, q.first) < tie) sums.agreeing += 1;
  }
  return sums;
}

/** `first`: the likeliest. */
type Distribution = { logits: Float32Array; normaliser: number; first: number };

function describe(logits: Float32Array): Distribution {
  let first = 0;
  for (let id = 1; id < logits.length; id += 1) {
    if (valueAt(logits, id) > valueAt(logits, first)) first = id;
  }
  const most = valueAt(logits, first);
  let sum = 0;
  for (let id = 0; id < logits.length; id += 1) sum += Math.exp(valueAt(logits, id) - most);
  return { logits, normaliser: most + Math.log(sum), first };
}

function divergence(p: Distribution, q: Distribution): number {
  let sum = 0;
  for (let id = 0; id < p.logits.length; id += 1) {
    const own = logprob(p, id);
    sum += Math.exp(own) * (own - logprob(q, id));
  }
  return sum;
}

const logprob = ({ logits, normaliser }: Distribution, id: number) =>
  valueAt(logits, id) - normaliser;

const valueAt = (row: Float32Array, id: number): number => row[id] ?? NaN;
