/**
 * A decoder's products with adapters of low rank (Hu et al., LoRA, https://arxiv.org/abs/2106.09685) of many tuned
 * models side by side, one for each text of a run: y + (x·A)·B, in float32 whatever the form. A text's tokens are its
 * row of the batch, so a run over new tokens has one product of a row for each text, and a piece of a prompt one of
 * all its tokens: what a text gets does not depend on the others.
 *
 * - `lora_slots` int64 [batch]: the slot of each text's adapter.
 * - `KIND.lora_A` f32 [slots · blocks, layers, inputs, rank], for the projections of a kind in all blocks, a slot's
 *   behind each other: the adapter's Aᵀ of each of the projection's layers.
 * - `KIND.lora_B` f32 [slots · blocks, parts, rank, width]: its Bᵀ times its scale, in parts of equal width, of which a
 *   layer has one or several, so that the layers of a projection are one product.
 *
 * Of projections of one layer the second axis is left out. The rank may be 0, where no adapter has such a layer.
 */
import type { Value } from "../onnx/value.ts";
import { multiplyDims } from "../onnx/symbolic-shape.ts";
import type { DecoderArchitecture } from "./decoder-architecture.ts";
import type { DecoderProducts, Projection, ProjectionKind } from "./decoder-products.ts";
import { sizeOf } from "./feature-heads.ts";
import type { Parameters } from "./parameters.ts";

export type LoraParts = {
  readonly width: number;
  /** Index of the layer that each part is of, in order. */
  readonly layers: readonly number[];
};

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

export function loraPartsOf({ layers }: Pick<Projection, "layers">): LoraParts {
  const widths = layers.map(({ outputs }) => sizeOf(outputs));
  const width = widths.reduce(greatestCommonDivisor);
  const parts = widths.map((each, at) => Array.from({ length: each / width }, () => at));
  return { width, layers: parts.flat() };
}

type Stack = { readonly down: Value; readonly up: Value };

export function loraProducts(
  products: DecoderProducts,
  { graph }: Parameters,
  { layers: { length: blocks } }: DecoderArchitecture,
): DecoderProducts {
  const first = graph.input("lora_slots", "int64", ["batch"]).mul(blocks);
  const entries: Value[] = [];
  const stacks = new Map<ProjectionKind, Stack>();

  const addStack = ({ kind, inputs, layers }: Projection): Stack => {
    const [entryCount, rank] = [multiplyDims([blocks, "slots"]), `${kind}.rank`];
    const { width, layers: parts } = loraPartsOf({ layers });
    const [low, high] = parts.length === 1 ? [[], []] : [[layers.length], [parts.length]];
    return {
      down: graph.input(`${kind}.lora_A`, "float32", [entryCount, ...low, sizeOf(inputs), rank]),
      up: graph.input(`${kind}.lora_B`, "float32", [entryCount, ...high, rank, width]),
    };
  };

  const stackOf = (projection: Projection): Stack => {
    const stack = stacks.get(projection.kind) ?? addStack(projection);
    stacks.set(projection.kind, stack);
    return stack;
  };

  /** What the texts' adapters add, [batch, sequence, outputs]. */
  const added = (x: Value, projection: Projection): Value => {
    const { down, up } = stackOf(projection);
    const entry = (entries[projection.block] ??= first.add(projection.block));
    const [a, b] = [down.gather(entry, 0), up.gather(entry, 0)];
    const { width, layers } = loraPartsOf(projection);
    if (layers.length === 1) return x.matMul(a).matMul(b);
    const low = x.unsqueeze([1]).matMul(a);
    const isWhole = layers.length === projection.layers.length;
    const read = isWhole ? low : low.gather(graph.integers(layers), 1);
    return read
      .matMul(b)
      .transpose([0, 2, 1, 3])
      .reshape([0, 0, layers.length * width]);
  };

  return {
    ...products,
    project: (x, projection) => products.project(x, projection).add(added(x, projection)),
  };
}
