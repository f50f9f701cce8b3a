/**
 * The loss of a linear classifier and its gradient: the mean cross-entropy of softmax(W·x + b) over weighted rows, and
 * half of `l2` times the sum of W's squares (the bias is free). Rows are taken in blocks that stay in the cache, and
 * products in tiles of four rows by two classes that stay in registers. Sums are f64. Between slices of work others get
 * a turn.
 */
import { TimeSlices } from "../event-loop/time-slices.ts";
import type { Objective } from "./minimise.ts";

/** Labelled rows of features. */
export type LabelledRows = {
  /** f32 [rows, width]. */
  readonly features: Float32Array;
  readonly width: number;
  /** [rows]: the class of each, 0 … classes − 1. */
  readonly classes: Uint16Array;
  /** [rows]: what each counts, positive. Absent: all alike. */
  readonly weights?: Float64Array;
};

export type SoftmaxLossOptions = {
  classCount: number;
  l2: number;
  signal?: AbortSignal;
};

/** 384 features of 64 rows are 200 KB in f64. */
const blockRowsMax = 64;
/** Rows are multiplied four at a time. */
const tileRows = 4;
/** Multiplications of one block, which is one slice of the event loop: some milliseconds. */
const blockOperations = 1_500_000;

function blockRowsOf(size: number): number {
  const tiles = Math.floor(blockOperations / (2 * size * tileRows));
  return Math.min(blockRowsMax, tileRows * Math.max(1, tiles));
}

/** A point is W `[classes, width]`, then b `[classes]`. */
export function softmaxLoss(rows: LabelledRows, options: SoftmaxLossOptions): Objective {
  const { width, classes } = rows;
  const { classCount, l2, signal } = options;
  const block = new BlockLoss(rows, classCount);
  const size = classCount * (width + 1);
  const { blockRows } = block;
  const slices = new TimeSlices(signal);
  return {
    size,
    async evaluate(point, gradient) {
      gradient.fill(0);
      let loss = 0;
      slices.begin();
      for (let from = 0; from < classes.length; from += blockRows) {
        if (slices.over) await slices.next();
        loss += block.add(from, point, gradient);
      }
      signal?.throwIfAborted();
      return loss + penalty(point, gradient, { count: classCount * width, l2 });
    },
  };
}

/** The L2 term of the first `count` parameters. */
function penalty(
  point: Float64Array,
  gradient: Float64Array,
  { count, l2 }: { count: number; l2: number },
): number {
  let squares = 0;
  for (let at = 0; at < count; at += 1) {
    const value = point[at] ?? 0;
    squares += value * value;
    gradient[at] = (gradient[at] ?? 0) + l2 * value;
  }
  return (l2 / 2) * squares;
}

/** The weights of the rows, 1 in all. */
function shares({ classes, weights }: LabelledRows): Float64Array {
  const all = weights ?? new Float64Array(classes.length).fill(1);
  let sum = 0;
  for (const weight of all) sum += weight;
  return all.map((weight) => weight / sum);
}

class BlockLoss {
  readonly blockRows: number;
  readonly #rows: LabelledRows;
  readonly #classCount: number;
  /** f64 [rows]. */
  readonly #shares: Float64Array;
  /** f64 [blockRows, width]; rows past the end of the data are zeros. */
  readonly #features: Float64Array;
  /** f64 [blockRows, classes]: logits, then the loss's gradient by them. */
  readonly #logits: Float64Array;

  constructor(rows: LabelledRows, classCount: number) {
    this.#rows = rows;
    this.#classCount = classCount;
    this.#shares = shares(rows);
    this.blockRows = blockRowsOf(classCount * (rows.width + 1));
    this.#features = new Float64Array(this.blockRows * rows.width);
    this.#logits = new Float64Array(this.blockRows * classCount);
  }

  /** Adds the gradient of the rows from `from` on. @returns their loss */
  add(from: number, point: Float64Array, gradient: Float64Array): number {
    const { features, width } = this.#rows;
    this.#features.fill(0);
    this.#features.set(features.subarray(from * width, (from + this.blockRows) * width));
    const shape = { width, classCount: this.#classCount, blockRows: this.blockRows };
    multiply(this.#features, point, { ...shape, logits: this.#logits });
    const loss = this.#toErrors(from);
    accumulate(this.#features, this.#logits, { ...shape, gradient });
    return loss;
  }

  /** Turns the logits of the rows into (softmax − wanted) · weight. @returns their loss */
  #toErrors(from: number): number {
    const count = this.#classCount;
    let loss = 0;
    for (let row = 0; row < this.blockRows; row += 1) {
      const share = this.#shares[from + row] ?? 0;
      const logits = this.#logits.subarray(row * count, (row + 1) * count);
      if (share === 0) logits.fill(0);
      else loss += toErrors(logits, this.#rows.classes[from + row] ?? 0, share);
    }
    return loss;
  }
}

function toErrors(logits: Float64Array, wanted: number, share: number): number {
  let most = -Infinity;
  for (const logit of logits) most = Math.max(most, logit);
  const wantedLogit = (logits[wanted] ?? 0) - most;
  let sum = 0;
  for (let at = 0; at < logits.length; at += 1) {
    const power = Math.exp((logits[at] ?? 0) - most);
    logits[at] = power;
    sum += power;
  }
  const scale = share / sum;
  for (let at = 0; at < logits.length; at += 1) logits[at] = (logits[at] ?? 0) * scale;
  logits[wanted] = (logits[wanted] ?? 0) - share;
  return share * (Math.log(sum) - wantedLogit);
}

type Product = { width: number; classCount: number; blockRows: number };

/** logits = features · Wᵀ + b. */
function multiply(
  x: Float64Array,
  w: Float64Array,
  { width, classCount, blockRows, logits }: Product & { logits: Float64Array },
): void {
  const bias = classCount * width;
  for (let label = 0; label < classCount; label += 2) {
    // A last class without a neighbour is computed twice.
    const other = Math.min(label + 1, classCount - 1);
    const [u, v] = [label * width, other * width];
    for (let row = 0; row < blockRows; row += 4) {
      const from = row * width;
      let [a0, a1, a2, a3] = [0, 0, 0, 0];
      let [b0, b1, b2, b3] = [0, 0, 0, 0];
      for (let at = 0; at < width; at += 1) {
        const wa = w[u + at] ?? 0;
        const wb = w[v + at] ?? 0;
        const x0 = x[from + at] ?? 0;
        const x1 = x[from + width + at] ?? 0;
        const x2 = x[from + 2 * width + at] ?? 0;
        const x3 = x[from + 3 * width + at] ?? 0;
        a0 += wa * x0;
        a1 += wa * x1;
        a2 += wa * x2;
        a3 += wa * x3;
        b0 += wb * x0;
        b1 += wb * x1;
        b2 += wb * x2;
        b3 += wb * x3;
      }
      const [aBias, bBias] = [w[bias + label] ?? 0, w[bias + other] ?? 0];
      const to = row * classCount;
      logits[to + label] = a0 + aBias;
      logits[to + classCount + label] = a1 + aBias;
      logits[to + 2 * classCount + label] = a2 + aBias;
      logits[to + 3 * classCount + label] = a3 + aBias;
      logits[to + other] = b0 + bBias;
      logits[to + classCount + other] = b1 + bBias;
      logits[to + 2 * classCount + other] = b2 + bBias;
      logits[to + 3 * classCount + other] = b3 + bBias;
    }
  }
}

/** gradient += errorsᵀ · features, and for the biases the sums of the errors. */
function accumulate(
  x: Float64Array,
  errors: Float64Array,
  { width, classCount, blockRows, gradient }: Product & { gradient: Float64Array },
): void {
  const bias = classCount * width;
  for (let label = 0; label < classCount; label += 1) {
    const to = label * width;
    for (let row = 0; row < blockRows; row += 4) {
      const e0 = errors[row * classCount + label] ?? 0;
      const e1 = errors[(row + 1) * classCount + label] ?? 0;
      const e2 = errors[(row + 2) * classCount + label] ?? 0;
      const e3 = errors[(row + 3) * classCount + label] ?? 0;
      const from = row * width;
      for (let at = 0; at < width; at += 1) {
        gradient[to + at] =
          (gradient[to + at] ?? 0) +
          (e0 * (x[from + at] ?? 0) +
            e1 * (x[from + width + at] ?? 0) +
            (e2 * (x[from + 2 * width + at] ?? 0) + e3 * (x[from + 3 * width + at] ?? 0)));
      }
      gradient[bias + label] = (gradient[bias + label] ?? 0) + (e0 + e1 + (e2 + e3));
    }
  }
}
