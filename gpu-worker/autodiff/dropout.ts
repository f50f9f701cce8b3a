/**
 * Dropout (Srivastava et al., https://jmlr.org/papers/v15/srivastava14a.html): zeros in places drawn by chance, the
 * rest scaled up so that the mean stays. Drawn from a seed that is an input: ONNX Runtime's random operators are seeded
 * once, when a session opens, and would draw anew when a value is computed again.
 *
 * An element is zero where the product of two odd numbers, one of its row and one of its column, modulo 2³², is small:
 * multiplicative hashing (Dietzfelbinger et al., https://doi.org/10.1006/jagm.1997.0873). One product of integers and
 * one comparison for each element, of the same result on any number of threads.
 */
import { GraphError } from "../onnx/graph.ts";
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import { shapeText, unknownDim } from "../onnx/symbolic-shape.ts";
import type { Value } from "../onnx/value.ts";

/** 2³¹ − 1, a prime: squares of what is below it fit an int64. */
const modulus = 2 ** 31 - 1;

/** `x` with part `rate` of its elements dropped, 0 … 1, less than 1. @throws GraphError for a rate that is none */
export type DropElements = (x: Value, rate: number) => Value;

/** Adds the input `seed` (int64 []), of which each step has another. Each place in the graph draws for itself. */
export function seededDropout(graph: GraphBuilder, name = "seed"): DropElements {
  const seed = graph.input(name, "int64", []);
  let places = 0;
  /** By their sizes: what has equal sizes shares the numbers of its rows. */
  const drawn = new Map<string, Value>();
  const rowsOf = (x: Value): Value => {
    const outer = x.shape.slice(0, -1);
    const known = outer.includes(unknownDim) ? undefined : drawn.get(shapeText(outer));
    const rows = known ?? draw(graph, indexRows(graph, x), seed);
    drawn.set(shapeText(outer), rows);
    return rows;
  };
  return (x, rate) => {
    if (!(rate >= 0 && rate < 1)) throw new GraphError(`a dropout rate is 0 … 1, not ${rate}`);
    if (rate === 0) return x;
    places += 1;
    const rows = rowsOf(x);
    const columns = draw(graph, lengthRange(graph, x, x.shape.length - 1), seed.add(places));
    const least = Math.round(rate * 2 ** 32) - 2 ** 31;
    // A product: ONNX Runtime's Where runs on one thread. The gradient is one by the same factors.
    const kept = rows.mul(columns).op("GreaterOrEqual", [graph.scalar("int32", least)]);
    return x.mul(kept.cast(x.dtype).mul(1 / (1 - rate)));
  };
}

/** 0, 1 … along `axis`, int64. */
function lengthRange(graph: GraphBuilder, x: Value, axis: number): Value {
  const length = x.op("Shape").gather(graph.scalar("int64", axis), 0);
  return graph.op("Range", [graph.scalar("int64", 0), length, graph.scalar("int64", 1)]);
}

/** Of each vector along the last axis its number, int64 [..., 1]. */
function indexRows(graph: GraphBuilder, x: Value): Value {
  const outer = Array.from({ length: x.shape.length - 1 }, (_, axis) => axis);
  return outer
    .map((axis) => lengthRange(graph, x, axis))
    .reduce<Value>(
      (index, range) => {
        const length = range.op("Shape");
        return index.mul(length).add(range).unsqueeze([-1]);
      },
      graph.integers([0]),
    );
}

/**
 * Of each of `indices` an odd int32, all alike likely: squared and shifted modulo the prime, from the mixed seed on.
 */
function draw(graph: GraphBuilder, indices: Value, seed: Value): Value {
  const prime = graph.scalar("int64", modulus);
  const mod = (value: Value) => value.op("Mod", [prime]);
  const mix = (value: Value) => {
    const first = mod(mod(value).mul(1_103_515_245).add(12_345));
    const second = mod(mod(first.mul(first).add(first)).mul(48_271).add(11));
    return mod(second.mul(second.add(3)));
  };
  const mixed = mix(indices.add(mix(seed)));
  return mixed.mul(2).sub(modulus).cast("int32");
}
