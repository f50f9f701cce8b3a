/** Dropout: how much, where, and that the same seed draws the same. */
import { describe, expect, it } from "vitest";
import { seededDropout } from "../../gpu-worker/autodiff/dropout.ts";
import { gradient } from "../../gpu-worker/autodiff/gradient.ts";
import { GraphError } from "../../gpu-worker/onnx/graph.ts";
import { GraphBuilder } from "../../gpu-worker/onnx/graph-builder.ts";
import { float32, int64 } from "../../gpu-worker/tensor/tensor.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";
import { runGraph } from "../onnx/run-graph.ts";
import type { OptimizationLevel } from "../onnx/run-graph.ts";

const rows = 512;
const columns = 96;
const ones = float32([rows, columns], new Float32Array(rows * columns).fill(1));

/** What two places make of ones, 1 where an element is kept. */
async function draw(seed: number | bigint, rate: number, level?: OptimizationLevel) {
  const graph = new GraphBuilder("dropout");
  const x = graph.input("x", "float32", ["rows", columns]);
  const drop = seededDropout(graph);
  graph.output("first", drop(x, rate));
  graph.output("second", drop(x, rate));
  const feeds = { x: ones, seed: int64([], [seed]) };
  const { first, second } = await runGraph(graph.build(), feeds, level);
  return [first?.data ?? [], second?.data ?? []] as const;
}

/** In standard deviations, of the mean of products of so many elements less their mean. */
function deviation(kept: readonly boolean[], rate: number, pairs: (i: number) => number[]): number {
  const spread = rate * (1 - rate);
  let [sum, count, terms] = [0, 0, 0];
  for (const index of kept.keys()) {
    const others = pairs(index);
    if (others.some((other) => kept[other] === undefined)) continue;
    terms = others.length;
    count += 1;
    sum += others.reduce((product, at) => product * ((kept[at] ? 1 : 0) - (1 - rate)), 1);
  }
  return Math.abs(sum / Math.sqrt(count * spread ** terms));
}

function share(a: readonly number[], b: readonly number[]): number {
  return a.filter((value, at) => value === b[at]).length / a.length;
}

describe("dropout", () => {
  it.each([0.1, 0.5, 0.9])(
    "drops %f of the elements, anywhere, and scales the rest",
    async (rate) => {
      const [data] = await draw(20_261_128, rate);
      const scaled = new Set(data);
      expect([...scaled].toSorted()).toEqual([0, Math.fround(1 / (1 - rate))]);
      const kept = data.map((value) => value > 0);
      // Alone, with the next of its row, of its column, of both, and in rectangles.
      for (const pairs of [
        (i: number) => [i],
        (i: number) => [i, i + 1],
        (i: number) => [i, i + columns],
        (i: number) => [i, i + columns + 1],
        (i: number) => [i, i + 1, i + columns, i + columns + 1],
        (i: number) => [i, i + 7, i + 100 * columns, i + 100 * columns + 7],
      ]) {
        expect(deviation(kept, rate, pairs)).toBeLessThan(4.5);
      }
    },
  );

  it("draws each row and each column of its own", async () => {
    const [data] = await draw(3, 0.5);
    const row = (at: number) => data.slice(at * columns, (at + 1) * columns).join();
    const column = (at: number) => data.filter((_, i) => i % columns === at).join();
    expect(new Set(Array.from({ length: rows }, (_, at) => row(at))).size).toBe(rows);
    expect(new Set(Array.from({ length: columns }, (_, at) => column(at))).size).toBe(columns);
  });

  it("draws the same for the same seed, another for the next and at another place", async () => {
    const [first, second] = await draw(5, 0.5);
    expect(await draw(5, 0.5, "disabled")).toEqual([first, second]);
    const [next] = await draw(6, 0.5);
    expect(share(first, second)).toBeCloseTo(0.5, 1);
    expect(share(first, next)).toBeCloseTo(0.5, 1);
    // The places of one seed are not those of the next one.
    expect(share(second, next)).toBeCloseTo(0.5, 1);
  });

  it.each([0n, -1n, 2n ** 63n - 2n, -(2n ** 63n)])("takes the seed %i", async (seed) => {
    const [data] = await draw(seed, 0.5);
    const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
    expect(mean).toBeCloseTo(1, 1);
  });

  it.each([[[4, 3, 16, 32]], [[64]], [[2, 512]]])("drops of any shape: %o", async (shape) => {
    const graph = new GraphBuilder("dropout");
    const x = graph.input(
      "x",
      "float32",
      shape.map((_, axis) => `axis${axis}`),
    );
    graph.output("y", seededDropout(graph)(x, 0.5));
    const count = shape.reduce((a, b) => a * b, 1);
    const feeds: Record<string, Tensor> = {
      x: float32(shape, new Float32Array(count).fill(1)),
      seed: int64([], [1]),
    };
    const { y } = await runGraph(graph.build(), feeds);
    expect(y?.shape).toEqual(shape);
    const mean = (y?.data ?? []).reduce((sum, value) => sum + value, 0) / count;
    expect(Math.abs(mean - 1)).toBeLessThan(4.5 / Math.sqrt(count));
  });

  it("drops the same of the gradient", async () => {
    const graph = new GraphBuilder("dropout");
    const x = graph.input("x", "float32", [rows, columns]);
    const y = seededDropout(graph)(x, 0.3);
    graph.output("y", y);
    graph.output("loss", y.sum([0, 1], false));
    const trained = gradient(graph.build(), { loss: "loss", parameters: ["x"] });
    const results = await runGraph(trained, { x: ones, seed: int64([], [1]) });
    expect(results["x.grad"]?.data).toEqual(results["y"]?.data);
  });

  it("is nothing at rate 0, and refuses rates that are none", () => {
    const graph = new GraphBuilder("dropout");
    const x = graph.input("x", "float32", [2]);
    const drop = seededDropout(graph);
    expect(drop(x, 0)).toBe(x);
    for (const rate of [-0.1, 1, Number.NaN, 2]) expect(() => drop(x, rate)).toThrow(GraphError);
  });
});
