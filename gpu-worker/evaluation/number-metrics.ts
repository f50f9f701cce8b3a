/**
 * Figures of numbers: correlations, errors, perplexity; each on weighted rows. Throw a RangeError by name where a value
 * is not finite, or the lists differ in length.
 */
import { requireFinite, requireSameLength } from "./require.ts";
import type { RowMetric, RowWeights } from "./row-counts.ts";

type Numbers = ArrayLike<number>;

export function meanMetric(values: Numbers, name: string): RowMetric {
  requireFinite(values, name);
  return (weights) => weightedMean(values, weights);
}

export function meanSquaredError(gold: Numbers, predicted: Numbers): RowMetric {
  return meanMetric(
    differences(gold, predicted, (x) => x * x),
    "squared error",
  );
}

export function meanAbsoluteError(gold: Numbers, predicted: Numbers): RowMetric {
  return meanMetric(differences(gold, predicted, Math.abs), "absolute error");
}

/** exp of the mean negative log likelihood (natural logarithm) of a token. [rows]: sums over the tokens of a row. */
export function perplexity(logLikelihoods: Numbers, tokens: Numbers): RowMetric {
  requireSameLength(logLikelihoods, tokens);
  requireFinite(logLikelihoods, "logLikelihoods");
  requireFinite(tokens, "tokens");
  return (weights) =>
    Math.exp(-weightedMean(logLikelihoods, weights) / weightedMean(tokens, weights));
}

/** Of all tokens the share that was hit. [rows]: counts of a row. */
export function hitShare(hits: Numbers, tokens: Numbers): RowMetric {
  requireSameLength(hits, tokens);
  requireFinite(hits, "hits");
  return (weights) => weightedMean(hits, weights) / weightedMean(tokens, weights);
}

/** NaN where a side is constant. */
export function pearson(gold: Numbers, predicted: Numbers): RowMetric {
  requirePair(gold, predicted);
  return (weights) => correlation(gold, predicted, weights);
}

/** Pearson's of the ranks; equal values share the mean of their ranks. */
export function spearman(gold: Numbers, predicted: Numbers): RowMetric {
  requirePair(gold, predicted);
  const [goldOrder, predictedOrder] = [orderOf(gold), orderOf(predicted)];
  return (weights) =>
    correlation(
      ranksOf(gold, goldOrder, weights),
      ranksOf(predicted, predictedOrder, weights),
      weights,
    );
}

function requirePair(gold: Numbers, predicted: Numbers): void {
  requireSameLength(gold, predicted);
  requireFinite(gold, "gold");
  requireFinite(predicted, "predicted");
}

function differences(
  gold: Numbers,
  predicted: Numbers,
  errorOf: (difference: number) => number,
): Float64Array {
  requirePair(gold, predicted);
  return Float64Array.from(gold, (value, at) => errorOf((predicted[at] ?? 0) - value));
}

function weightedMean(values: Numbers, weights: RowWeights): number {
  let total = 0;
  let count = 0;
  for (let at = 0; at < values.length; at += 1) {
    const weight = weights[at] ?? 0;
    total += weight * (values[at] ?? 0);
    count += weight;
  }
  return total / count;
}

function correlation(a: Numbers, b: Numbers, weights: RowWeights): number {
  // Compared, since the mean of equal values may differ from them in the last digit.
  if (isConstant(a, weights) || isConstant(b, weights)) return Number.NaN;
  const [meanA, meanB] = [weightedMean(a, weights), weightedMean(b, weights)];
  let [both, squareA, squareB] = [0, 0, 0];
  for (let at = 0; at < a.length; at += 1) {
    const weight = weights[at] ?? 0;
    const [x, y] = [(a[at] ?? 0) - meanA, (b[at] ?? 0) - meanB];
    both += weight * x * y;
    squareA += weight * x * x;
    squareB += weight * y * y;
  }
  const scale = Math.sqrt(squareA) * Math.sqrt(squareB);
  // Rounding may carry a perfect correlation past 1.
  return Math.max(-1, Math.min(1, both / scale));
}

function isConstant(values: Numbers, weights: RowWeights): boolean {
  let first: number | undefined;
  for (let at = 0; at < values.length; at += 1) {
    if (weights[at] === 0) continue;
    first ??= values[at];
    if (values[at] !== first) return false;
  }
  return true;
}

function orderOf(values: Numbers): Uint32Array {
  const order = Uint32Array.from({ length: values.length }, (_, at) => at);
  return order.sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0));
}

/** As if each row stood there as often as it weighs. */
function ranksOf(values: Numbers, order: Uint32Array, weights: RowWeights): Float64Array {
  const ranks = new Float64Array(values.length);
  let before = 0;
  for (let from = 0; from < order.length;) {
    const value = values[order[from] ?? 0];
    let [to, count] = [from, 0];
    while (to < order.length && values[order[to] ?? 0] === value) {
      count += weights[order[to] ?? 0] ?? 0;
      to += 1;
    }
    for (let at = from; at < to; at += 1) ranks[order[at] ?? 0] = before + (count + 1) / 2;
    before += count;
    from = to;
  }
  return ranks;
}
