/**
 * McNemar's test (1947): whether two systems are right on equally many rows, from those that one of them alone has
 * right. Few such rows: the exact binomial test, two-sided; else chi-squared with one degree of freedom and Edwards'
 * continuity correction (1948). As statsmodels' `mcnemar`.
 */
import type { McNemar } from "#contract/training/evaluation-report.ts";

/** From here on the chi-squared distribution is near enough. */
const chiSquaredFrom = 25;

export function mcnemar(onlyBase: number, onlyTuned: number): McNemar {
  const [counts, differing] = [
    { only_base: onlyBase, only_tuned: onlyTuned },
    onlyBase + onlyTuned,
  ];
  if (differing < chiSquaredFrom) {
    const fewer = Math.min(onlyBase, onlyTuned);
    const p = Math.min(1, 2 * binomialBelow(fewer, differing));
    return { ...counts, method: "exact", statistic: fewer, p };
  }
  const statistic = (Math.abs(onlyBase - onlyTuned) - 1) ** 2 / differing;
  return { ...counts, method: "chi_squared", statistic, p: chiSquaredAbove(statistic) };
}

/** P(X ≤ k) of n fair coins. */
function binomialBelow(k: number, n: number): number {
  let [term, total] = [1, 1];
  for (let at = 1; at <= k; at += 1) {
    term = (term * (n - at + 1)) / at;
    total += term;
  }
  return total / 2 ** n;
}

/**
 * P(X > x) with one degree of freedom: Q(1/2, x/2), the incomplete gamma function, by its series below 1.5 and by
 * Lentz's continued fraction above (Press et al., Numerical Recipes, 6.2). Relative error about 1e-14.
 */
function chiSquaredAbove(x: number): number {
  const [a, y] = [0.5, x / 2];
  if (y === 0) return 1;
  const scale = Math.exp(-y + a * Math.log(y)) / Math.sqrt(Math.PI);
  return y < a + 1 ? 1 - scale * gammaSeries(a, y) : scale * gammaFraction(a, y);
}

const termsMax = 500;
const smallest = 1e-300;

function gammaSeries(a: number, y: number): number {
  let [term, total] = [1 / a, 1 / a];
  for (let n = 1; n < termsMax && term > total * Number.EPSILON; n += 1) {
    term *= y / (a + n);
    total += term;
  }
  return total;
}

function gammaFraction(a: number, y: number): number {
  let b = y + 1 - a;
  let c = 1 / smallest;
  let d = 1 / b;
  let value = d;
  for (let n = 1; n < termsMax; n += 1) {
    const factor = -n * (n - a);
    b += 2;
    d = 1 / (factor * d + b || smallest);
    c = b + factor / c || smallest;
    value *= d * c;
    if (Math.abs(d * c - 1) < Number.EPSILON) break;
  }
  return value;
}
