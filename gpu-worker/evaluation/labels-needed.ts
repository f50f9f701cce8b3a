/**
 * About how many more labels would reach a figure, by the learning curve; "not known" wherever the curve does not carry
 * so far: too few sizes, no fall beyond its own noise, a far extrapolation, or one point that decides the answer.
 */
import type { PowerLaw, SizePoint } from "#contract/training/evaluation-report.ts";
import { type ErrorPoint, errorAt, fitPowerLaw, labelsAt } from "./fit-power-law.ts";
import { requireFinite } from "./require.ts";

export type LabelsNeeded = {
  /** Beyond the largest size; null: not known, and `why` says so in words. */
  more: number | null;
  why: string;
};

export type CurveQuestion = {
  sizes: readonly SizePoint[];
  better: "higher" | "lower";
  /** The figure to reach. */
  goal: number;
};

/** Three parameters, and a point that may contradict them. */
const sizesMin = 4;
/** Largest size by smallest. */
const rangeMin = 4;
/** Share of the errors' variance that the curve must explain. */
const explainedMin = 0.8;
const extrapolationMax = 10;
/** How far the answer may move, up or down, when one point is left out. */
const swingMax = 2;

/** Null where there are no sizes. Throws a RangeError where a score is not finite. */
export function learningCurve(
  sizes: readonly SizePoint[],
  better: CurveQuestion["better"],
): PowerLaw | null {
  const points = errorPoints(sizes, better);
  return whyUnfit(points) === null ? fitPowerLaw(points) : null;
}

/** Figures that are better when higher are shares of 1. Throws as learningCurve does. */
export function labelsNeeded({ sizes, better, goal }: CurveQuestion): LabelsNeeded {
  const points = errorPoints(sizes, better);
  const unfit = whyUnfit(points);
  if (unfit !== null) return { more: null, why: unfit };
  const goalError = errorOf(goal, better);
  const largest = Math.max(...points.map(({ labels }) => labels));
  const needed = labelsAt(fitPowerLaw(points), goalError);
  const others = points.map((_, out) => fitPowerLaw(points.filter((__, at) => at !== out)));
  const estimates = others.map((law) => labelsAt(law, goalError));
  if (needed === Number.POSITIVE_INFINITY)
    return unknown("by the learning curve, labels like these do not get there at any number");
  if (needed > largest * extrapolationMax)
    return unknown(
      `the learning curve was measured up to ${largest} labels, and the goal lies more than ` +
        `${extrapolationMax} times as far`,
    );
  if (estimates.some((each) => each > needed * swingMax || each * swingMax < needed))
    return unknown(
      "leaving out one point of the learning curve changes the answer more than twofold",
    );
  if (needed <= largest)
    return unknown(
      "by the learning curve, the labels there are should do: what is missing is something else",
    );
  const more = toTwoDigits(needed - largest);
  return { more, why: `the learning curve reaches it with about ${more} more labels` };
}

function unknown(why: string): LabelsNeeded {
  return { more: null, why };
}

function errorOf(score: number, better: CurveQuestion["better"]): number {
  return better === "higher" ? 1 - score : score;
}

function errorPoints(sizes: readonly SizePoint[], better: CurveQuestion["better"]): ErrorPoint[] {
  requireFinite(
    sizes.map(({ score }) => score),
    "sizes.score",
  );
  return sizes.map(({ labels, score }) => ({ labels, error: errorOf(score, better) }));
}

function whyUnfit(points: readonly ErrorPoint[]): string | null {
  if (points.length === 0) return "how it does with fewer was not measured";
  const sizes = new Set(points.map(({ labels }) => labels));
  if (sizes.size < sizesMin)
    return `the model was measured after ${sizes.size} numbers of labels, and a curve takes ${sizesMin}`;
  const all = [...sizes];
  if (Math.max(...all) < rangeMin * Math.min(...all))
    return `the numbers of labels it was measured after lie less than ${rangeMin} times apart`;
  const errors = points.map(({ error }) => error);
  const mean = errors.reduce((a, b) => a + b, 0) / errors.length;
  const variance = errors.reduce((total, error) => total + (error - mean) ** 2, 0);
  const law = fitPowerLaw(points);
  const left = points.reduce((total, p) => total + (errorAt(law, p.labels) - p.error) ** 2, 0);
  return variance === 0 || left > (1 - explainedMin) * variance
    ? "more labels did not steadily make the model better"
    : null;
}

/** Not below 1. */
function toTwoDigits(count: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(count)) - 1);
  return Math.max(1, Math.round(count / unit) * unit);
}
