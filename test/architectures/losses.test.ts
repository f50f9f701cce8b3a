/** Losses against their formulas in double precision. */
import { describe, expect, it } from "vitest";
import {
  binaryCrossEntropy,
  cosineError,
  crossEntropy,
  inBatchContrast,
  meanSquaredError,
  slicedCrossEntropy,
} from "../../gpu-worker/architectures/losses.ts";
import { GraphBuilder } from "../../gpu-worker/onnx/graph-builder.ts";
import type { Value } from "../../gpu-worker/onnx/value.ts";
import { float32, int64 } from "../../gpu-worker/tensor/tensor.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";
import { numbers, runGraph } from "../onnx/run-graph.ts";

/** The one number that `build` makes of `feeds`, whose first axes are of unknown length. */
async function lossOf(
  feeds: Readonly<Record<string, Tensor>>,
  build: (graph: GraphBuilder, inputs: (name: string) => Value) => Value,
): Promise<number> {
  const graph = new GraphBuilder("loss");
  const inputs = new Map(
    Object.entries(feeds).map(([name, { dtype, shape }]) => {
      return [name, graph.input(name, dtype, ["rows", ...shape.slice(1)])] as const;
    }),
  );
  const input = (name: string): Value => {
    const value = inputs.get(name);
    if (value === undefined) throw new TypeError(name);
    return value;
  };
  graph.output("loss", build(graph, input));
  const { loss } = await runGraph(graph.build(), feeds);
  expect(loss?.shape).toEqual([]);
  return loss?.data[0] ?? NaN;
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

function rowsOf(data: Float32Array, width: number): number[][] {
  const rows = Array.from({ length: data.length / width }, (_, row) => row * width);
  return rows.map((start) => Array.from(data.subarray(start, start + width)));
}

function negativeLogLikelihood(logits: readonly number[], label: number): number {
  const most = Math.max(...logits);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - most), 0);
  return most + Math.log(sum) - (logits[label] ?? NaN);
}

const classes = 5;
const logits = numbers(7 * classes, 11).map((value) => value * 40);
const labels = [3, -100, 0, 4, 4, -1, 1];
const counted = rowsOf(logits, classes).flatMap((row, at) => {
  const label = labels[at] ?? NaN;
  return label < 0 ? [] : [negativeLogLikelihood(row, label)];
});
const given = { logits: float32([7, classes], logits), labels: int64([7], labels) };

describe("cross-entropy", () => {
  it("is the mean over the rows that count", async () => {
    const loss = await lossOf(given, (graph, of) =>
      crossEntropy(graph, { logits: of("logits"), labels: of("labels") }),
    );
    expect(loss).toBeCloseTo(mean(counted), 5);
  });

  it("is 0 where none counts", async () => {
    const none = {
      ...given,
      labels: int64(
        [7],
        labels.map(() => -100),
      ),
    };
    const loss = await lossOf(none, (graph, of) =>
      crossEntropy(graph, { logits: of("logits"), labels: of("labels") }),
    );
    expect(loss).toBe(0);
  });

  it("spreads of what is wanted the smoothed share over all classes", async () => {
    const smoothing = 0.1;
    const smoothed = rowsOf(logits, classes).flatMap((row, at) => {
      const label = labels[at] ?? NaN;
      if (label < 0) return [];
      const each = row.map((_, other) => negativeLogLikelihood(row, other));
      return [(1 - smoothing) * (each[label] ?? NaN) + smoothing * mean(each)];
    });
    const loss = await lossOf(given, (graph, of) =>
      crossEntropy(graph, { logits: of("logits"), labels: of("labels") }, smoothing),
    );
    expect(loss).toBeCloseTo(mean(smoothed), 5);
    expect(loss).not.toBeCloseTo(mean(counted), 2);
  });

  it.each([1, 2, 3, 7, 12])(
    "is the same in %i slices, more than there are rows too",
    async (slices) => {
      const loss = await lossOf(given, (graph, of) => {
        const rows = { states: of("logits").mul(0.5), labels: of("labels"), slices };
        return slicedCrossEntropy(graph, rows, (states) => states.mul(2));
      });
      expect(loss).toBeCloseTo(mean(counted), 5);
    },
  );
});

const dot = (a: readonly number[], b: readonly number[]) =>
  a.reduce((sum, element, at) => sum + element * (b[at] ?? NaN), 0);

describe("the other losses", () => {
  it("take each class for itself", async () => {
    const wanted = Float32Array.from(logits, (_, at) => (at % 3 === 0 ? 1 : 0));
    const feeds = { logits: given.logits, wanted: float32([7, classes], wanted) };
    const expected = Array.from(logits, (logit, at) => {
      const signed = wanted[at] === 1 ? logit : -logit;
      return Math.max(-signed, 0) + Math.log1p(Math.exp(-Math.abs(signed)));
    });
    const loss = await lossOf(feeds, (graph, of) =>
      binaryCrossEntropy(graph, of("logits"), of("wanted")),
    );
    expect(loss).toBeCloseTo(mean(expected), 5);
  });

  it("square what a number is off by", async () => {
    const feeds = { found: float32([3], [1, -2, 0.5]), wanted: float32([3], [0, -2.5, 3]) };
    const loss = await lossOf(feeds, (graph, of) =>
      meanSquaredError(graph, of("found"), of("wanted")),
    );
    expect(loss).toBeCloseTo((1 + 0.25 + 6.25) / 3, 6);
  });

  const width = 4;
  const vectors = rowsOf(numbers(8 * width, 5), width).map((row) => {
    const length = Math.hypot(...row);
    return row.map((element) => element / length);
  });

  it("have each text find its own among all candidates of the batch", async () => {
    const own = [1, 0, 1];
    const [texts, candidates] = [vectors.slice(0, 3), vectors.slice(3)];
    const expected = texts.map((text, at) =>
      negativeLogLikelihood(
        candidates.map((other) => 20 * dot(text, other)),
        own[at] ?? NaN,
      ),
    );
    const feeds = { vectors: float32([8, width], vectors.flat()), own: int64([3], own) };
    const loss = await lossOf(feeds, (graph, of) =>
      inBatchContrast(graph, of("vectors"), of("own")),
    );
    expect(loss).toBeCloseTo(mean(expected), 5);
  });

  it("square what the cosines of pairs are off by", async () => {
    const wanted = [0.5, 1, -1, 0];
    const expected = wanted.map((value, at) => {
      const [first = [], second = []] = [vectors[at], vectors[at + 4]];
      return (dot(first, second) - value) ** 2;
    });
    const feeds = { vectors: float32([8, width], vectors.flat()), wanted: float32([4], wanted) };
    const loss = await lossOf(feeds, (graph, of) =>
      cosineError(graph, of("vectors"), of("wanted")),
    );
    expect(loss).toBeCloseTo(mean(expected), 5);
  });
});
