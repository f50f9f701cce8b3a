/**
 * Logistic regression against scikit-learn, its gradient against finite differences, and its manners on the event loop.
 */
import { describe, expect, it } from "vitest";
import { fitHead } from "../../gpu-worker/fit/fit-head.ts";
import { minimise } from "../../gpu-worker/fit/minimise.ts";
import { type LabelledRows, softmaxLoss } from "../../gpu-worker/fit/softmax-loss.ts";

/**
 * Every tenth row of scikit-learn's iris data, and what scikit-learn 1.9.1 makes of them:
 *
 *     x, y = load_iris(return_X_y=True); x, y = x[::10], y[::10]
 *     s = StandardScaler().fit(x)
 *     m = LogisticRegression(C=1 / (15 * 0.05), tol=1e-12, max_iter=100000).fit(s.transform(x), y)
 *     coef = m.coef_ / s.scale_; intercept = m.intercept_ - coef @ s.mean_; intercept -= intercept.mean()
 *
 * and again with sample_weight=w, w = 1 … 15, C = 1 / (w.sum() * 0.05).
 */
const measurements = [
  [5.1, 3.5, 1.4, 0.2],
  [5.4, 3.7, 1.5, 0.2],
  [5.4, 3.4, 1.7, 0.2],
  [4.8, 3.1, 1.6, 0.2],
  [5.0, 3.5, 1.3, 0.3],
  [7.0, 3.2, 4.7, 1.4],
  [5.0, 2.0, 3.5, 1.0],
  [5.9, 3.2, 4.8, 1.8],
  [5.5, 2.4, 3.8, 1.1],
  [5.5, 2.6, 4.4, 1.2],
  [6.3, 3.3, 6.0, 2.5],
  [6.5, 3.2, 5.1, 2.0],
  [6.9, 3.2, 5.7, 2.3],
  [7.4, 2.8, 6.1, 1.9],
  [6.7, 3.1, 5.6, 2.4],
];
const iris: LabelledRows = {
  features: Float32Array.from(measurements.flat()),
  width: 4,
  classes: Uint16Array.from([0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2]),
};
const oracle = {
  plain: {
    weight: [
      -0.702282, 1.44393, -0.50584, -0.962542, -0.106455, -1.412472, 0.0807, -0.287596, 0.808736,
      -0.031458, 0.42514, 1.250138,
    ],
    bias: [2.693218, 5.872423, -8.565641],
  },
  weighted: {
    weight: [
      -0.650115, 1.242607, -0.4617, -0.876238, -0.287079, -1.302294, 0.037401, -0.388444, 0.937194,
      0.059686, 0.424299, 1.264682,
    ],
    bias: [2.508921, 6.947396, -9.456317],
  },
};
const exact = { classCount: 3, l2: 0.05, gradientTolerance: 1e-9 };
const weights = Float64Array.from({ length: 15 }, (_, at) => at + 1);

function expectClose(actual: ArrayLike<number>, expected: readonly number[], digits = 4): void {
  expect(actual).toHaveLength(expected.length);
  for (const [at, value] of expected.entries()) expect(actual[at]).toBeCloseTo(value, digits);
}

/** Repeatable numbers, −1 … 1. */
function numbers(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, at) => Math.sin(at * 12.9898) ** 3);
}

/** `count` rows whose class shows in their features. */
function rowsOf(count: number, width: number, classCount: number): LabelledRows {
  const classes = Uint16Array.from({ length: count }, (_, row) => row % classCount);
  const features = numbers(count * width);
  for (const [row, label] of classes.entries()) {
    const at = row * width + label;
    features[at] = (features[at] ?? 0) + 1;
  }
  return { features, width, classes };
}

describe("fitHead", () => {
  it("finds the coefficients that scikit-learn finds", async () => {
    const fit = await fitHead(iris, exact);
    expect(fit.converged).toBe(true);
    expectClose(fit.weight, oracle.plain.weight);
    expectClose(fit.bias, oracle.plain.bias);
  });

  it("weights rows as scikit-learn does", async () => {
    const fit = await fitHead({ ...iris, weights }, exact);
    expectClose(fit.weight, oracle.weighted.weight);
    expectClose(fit.bias, oracle.weighted.bias);
  });

  it("ends at the same head wherever it starts, and at once where it has been", async () => {
    const first = await fitHead(iris, exact);
    const far = { weight: new Float32Array(12).fill(3), bias: new Float32Array([5, -5, 0]) };
    const second = await fitHead(iris, { ...exact, start: far });
    expectClose(second.weight, [...first.weight]);
    const again = await fitHead(iris, { ...exact, gradientTolerance: 1e-5, start: first });
    expect(again.iterations).toBe(0);
  });

  it("gives equal heads for equal rows", async () => {
    const rows = rowsOf(300, 16, 5);
    const [one, two] = [
      await fitHead(rows, { classCount: 5, l2: 0.01 }),
      await fitHead(rows, { classCount: 5, l2: 0.01 }),
    ];
    expect(one).toEqual(two);
  });

  it("keeps clear of features that do not vary, or hardly", async () => {
    const width = 6;
    const features = measurements.flatMap((row, at) => [...row, 7, at * 1e-33]);
    const fit = await fitHead({ ...iris, features: Float32Array.from(features), width }, exact);
    const weight = [0, 1, 2].flatMap((label) => [
      ...fit.weight.subarray(label * width, label * width + 4),
    ]);
    expectClose(weight, oracle.plain.weight);
    expect(fit.weight.every((value) => Math.abs(value) < 10)).toBe(true);
  });

  it("fits rows that are all alike, and classes that no row has", async () => {
    const alike = { features: new Float32Array(8).fill(1), width: 2, classes: new Uint16Array(4) };
    const fit = await fitHead(alike, { classCount: 2, l2: 0.1 });
    expect([...fit.weight, ...fit.bias].every(Number.isFinite)).toBe(true);
    expect(fit.bias[0]).toBeGreaterThan(fit.bias[1] ?? 0);
  });

  it("reports each iteration, and stops at the most it may do", async () => {
    const seen: number[] = [];
    const onIteration = (iteration: number) => seen.push(iteration);
    const fit = await fitHead(iris, { ...exact, iterationsMax: 3, onIteration });
    expect(seen).toEqual([1, 2, 3]);
    expect(fit).toMatchObject({ iterations: 3, converged: false });
  });

  it("refuses rows that do not fit together", async () => {
    const broken = { ...iris, features: new Float32Array(7) };
    await expect(fitHead(broken, exact)).rejects.toThrow(/15 rows of 4 features, but 7/);
    await expect(fitHead(iris, { ...exact, classCount: 2 })).rejects.toThrow(/class 2 of 2/);
  });
});

describe("softmaxLoss", () => {
  it("gives the gradient that finite differences give", async () => {
    // More rows than a block holds, and an odd number of classes.
    const rows = { ...rowsOf(131, 7, 5), weights: Float64Array.from(numbers(131), Math.abs) };
    const loss = softmaxLoss(rows, { classCount: 5, l2: 0.3 });
    const point = Float64Array.from(numbers(loss.size));
    const gradient = new Float64Array(loss.size);
    const unused = new Float64Array(loss.size);
    await loss.evaluate(point, gradient);
    for (let at = 0; at < loss.size; at += 1) {
      const [up, down] = [point.slice(), point.slice()];
      up[at] = (up[at] ?? 0) + 1e-5;
      down[at] = (down[at] ?? 0) - 1e-5;
      const slope =
        ((await loss.evaluate(up, unused)) - (await loss.evaluate(down, unused))) / 2e-5;
      expect(gradient[at]).toBeCloseTo(slope, 7);
    }
  });

  it("lets timers run while it works, and stops when told to", async () => {
    const abort = new AbortController();
    const reason = new Error("nobody waits");
    const timer = setTimeout(() => abort.abort(reason), 1);
    const rows = rowsOf(2_000, 128, 40);
    const fit = fitHead(rows, {
      classCount: 40,
      l2: 0,
      signal: abort.signal,
      gradientTolerance: 0,
    });
    await expect(fit).rejects.toBe(reason);
    clearTimeout(timer);
  });
});

describe("minimise", () => {
  it("finds the minimum of a function whose curvatures differ ten thousandfold", async () => {
    const size = 20;
    const curvature = (at: number) => 10 ** (-2 + (4 * at) / (size - 1));
    const point = new Float64Array(size).fill(1);
    const quadratic = {
      size,
      evaluate: (x: Float64Array, gradient: Float64Array) => {
        let value = 0;
        for (const [at, each] of x.entries()) {
          gradient[at] = curvature(at) * (each - at);
          value += (curvature(at) * (each - at) ** 2) / 2;
        }
        return Promise.resolve(value);
      },
    };
    const options = { point, gradientTolerance: 1e-8, iterationsMax: 400 };
    expect((await minimise(quadratic, options)).converged).toBe(true);
    for (const [at, value] of point.entries()) expect(value).toBeCloseTo(at, 5);
  });
});
