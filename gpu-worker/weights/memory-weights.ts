/**
 * Weights from memory, and weights over others: what a checkpoint lacks for its training, or has tuned.
 */
import type { Tensor } from "../tensor/tensor.ts";
import { WeightError } from "./weight-source.ts";
import type { WeightSource } from "./weight-source.ts";

export function memoryWeights(tensors: ReadonlyMap<string, Tensor>): WeightSource {
  return {
    metadata: {},
    names: () => [...tensors.keys()],
    entry: (name) => {
      const found = tensors.get(name);
      if (found === undefined) return null;
      const { dtype, shape, data } = found;
      return { name, dtype, shape, byteLength: data.byteLength };
    },
    read: (name) => {
      const found = tensors.get(name);
      if (found === undefined) throw new WeightError(`there is no tensor "${name}"`);
      return found;
    },
    close: () => undefined,
  };
}

/** `weights` but for some. Closing it closes `weights`. */
export function weightsWithout(weights: WeightSource, names: ReadonlySet<string>): WeightSource {
  return {
    metadata: weights.metadata,
    names: () => weights.names().filter((name) => !names.has(name)),
    entry: (name) => (names.has(name) ? null : weights.entry(name)),
    read: (name) => weights.read(name),
    close: () => weights.close(),
  };
}

/** What `over` lacks is read of `under`. Closing closes both. */
export function layeredWeights(over: WeightSource, under: WeightSource): WeightSource {
  const sourceOf = (name: string) => (over.entry(name) === null ? under : over);
  return {
    metadata: under.metadata,
    names: () => [...new Set([...under.names(), ...over.names()])],
    entry: (name) => sourceOf(name).entry(name),
    read: (name) => sourceOf(name).read(name),
    close: () => {
      over.close();
      under.close();
    },
  };
}
