/**
 * Fits a linear classifier, logits = W·x + b, by multinomial logistic regression. Features are standardised first, so
 * that one `l2` suits all of them and the search is short, and the result is folded back: it reads features as they
 * are.
 */
import { TimeSlices } from "../event-loop/time-slices.ts";
import { minimise, type Minimum } from "./minimise.ts";
import { type LabelledRows, softmaxLoss } from "./softmax-loss.ts";

export type FitOptions = {
  classCount: number;
  /** Half of this times the sum of W's squares is added to the mean cross-entropy; W as of standardised features. */
  l2: number;
  /**
   * `each`: to mean 0 and deviation 1. `common`: to mean 0, and to mean square deviation 1 over all features at once,
   * which keeps their proportions: for few rows, whose deviations mean little. Default each.
   */
  standardise?: "each" | "common";
  /** Ends the search: the largest component of the loss's gradient. Default 1e-4, as in scikit-learn. */
  gradientTolerance?: number;
  /** Default 500. */
  iterationsMax?: number;
  /** Where to start, for example the head of a neighbouring `l2`. */
  start?: FittedHead;
  signal?: AbortSignal;
  /** After each iteration. */
  onIteration?(iteration: number): void;
};

export type FittedHead = {
  /** f32 [classes, features]. */
  weight: Float32Array;
  /** f32 [classes]. */
  bias: Float32Array;
};

export type Fit = FittedHead & Omit<Minimum, "value"> & { loss: number };

/** @throws the signal's reason; RangeError where the rows do not fit together */
export async function fitHead(rows: LabelledRows, options: FitOptions): Promise<Fit> {
  checkRows(rows, options.classCount);
  const { gradientTolerance = 1e-4, iterationsMax = 500, onIteration } = options;
  const slices = new TimeSlices(options.signal);
  const scaling = scalingOf(rows, options.standardise ?? "each");
  if (slices.over) await slices.next();
  const objective = softmaxLoss({ ...rows, features: apply(scaling, rows) }, options);
  const point = startPoint(scaling, options, objective.size);
  const search = { point, gradientTolerance, iterationsMax };
  const { value, ...minimum } = await minimise(
    objective,
    onIteration === undefined ? search : { ...search, onIteration },
  );
  return { ...foldBack(point, scaling, options.classCount), ...minimum, loss: value };
}

function checkRows({ features, width, classes, weights }: LabelledRows, classCount: number): void {
  if (classes.length === 0) throw new RangeError("there are no rows to fit");
  if (features.length !== classes.length * width) {
    throw new RangeError(
      `${classes.length} rows of ${width} features, but ${features.length} numbers`,
    );
  }
  if (weights !== undefined && weights.length !== classes.length) {
    throw new RangeError(`${weights.length} weights for ${classes.length} rows`);
  }
  const foreign = classes.find((each) => each >= classCount);
  if (foreign !== undefined) throw new RangeError(`class ${foreign} of ${classCount}`);
}

/** f64 [features] each; deviations are not 0. */
type Scaling = { means: Float64Array; deviations: Float64Array };

/** A feature that varies less than this share of the one that varies most tells nothing: rounding, or a dead unit. */
const deviationShareMin = 1e-6;

function scalingOf({ features, width, classes }: LabelledRows, by: "each" | "common"): Scaling {
  const count = classes.length;
  const means = new Float64Array(width);
  const squares = new Float64Array(width);
  for (let row = 0, at = 0; row < count; row += 1) {
    for (let each = 0; each < width; each += 1, at += 1) {
      means[each] = (means[each] ?? 0) + (features[at] ?? 0) / count;
    }
  }
  for (let row = 0, at = 0; row < count; row += 1) {
    for (let each = 0; each < width; each += 1, at += 1) {
      const distance = (features[at] ?? 0) - (means[each] ?? 0);
      squares[each] = (squares[each] ?? 0) + (distance * distance) / count;
    }
  }
  return { means, deviations: deviationsOf(squares, by) };
}

function deviationsOf(squares: Float64Array, by: "each" | "common"): Float64Array {
  const mean = squares.reduce((sum, square) => sum + square, 0) / squares.length;
  if (by === "common") return squares.map(() => Math.sqrt(mean) || 1);
  const most = Math.sqrt(squares.reduce((a, b) => Math.max(a, b), 0));
  // A feature that tells nothing is scaled down as far as possible, not up to the others.
  return squares.map((square) => {
    const deviation = Math.sqrt(square);
    return deviation > most * deviationShareMin ? deviation : most || 1;
  });
}

function apply({ means, deviations }: Scaling, { features, width }: LabelledRows): Float32Array {
  const scaled = new Float32Array(features.length);
  for (let at = 0, each = 0; at < features.length; at += 1) {
    scaled[at] = ((features[at] ?? 0) - (means[each] ?? 0)) / (deviations[each] ?? 1);
    each = each + 1 === width ? 0 : each + 1;
  }
  return scaled;
}

/** Standardised parameters of the head to start from, or zeros. */
function startPoint(
  { means, deviations }: Scaling,
  { start, classCount }: FitOptions,
  size: number,
): Float64Array {
  const point = new Float64Array(size);
  if (start === undefined) return point;
  const width = means.length;
  for (let label = 0; label < classCount; label += 1) {
    let bias = start.bias[label] ?? 0;
    for (let each = 0; each < width; each += 1) {
      const value = start.weight[label * width + each] ?? 0;
      point[label * width + each] = value * (deviations[each] ?? 1);
      bias += value * (means[each] ?? 0);
    }
    point[classCount * width + label] = bias;
  }
  return point;
}

/** The same logits from features that are not standardised. */
function foldBack(
  point: Float64Array,
  { means, deviations }: Scaling,
  classCount: number,
): FittedHead {
  const width = means.length;
  const weight = new Float32Array(classCount * width);
  const bias = new Float32Array(classCount);
  for (let label = 0; label < classCount; label += 1) {
    let offset = point[classCount * width + label] ?? 0;
    for (let each = 0; each < width; each += 1) {
      const value = (point[label * width + each] ?? 0) / (deviations[each] ?? 1);
      weight[label * width + each] = value;
      offset -= value * (means[each] ?? 0);
    }
    bias[label] = offset;
  }
  return { weight, bias };
}
