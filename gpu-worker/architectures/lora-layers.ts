/**
 * Linear layers with adapters of low rank (Hu et al., LoRA, https://arxiv.org/abs/2106.09685) of many tuned models side
 * by side, one for each text: y + (x·A)·B, where A and B are those of the text's adapter. They lie in stacks, which are
 * inputs: `<layer>.lora_A` f32 [slots, in, rank] and `<layer>.lora_B` f32 [slots, rank, out], with the adapter's scale
 * in B. A rank may be 0, where no adapter has the layer.
 *
 * Rows of tokens come in groups of one adapter each, all equally long, so that each group has one pair of products. All
 * adapters' products side by side, with a mask, would cost by the number of adapters.
 */
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import { wordShapes } from "../model/word-shapes.ts";
import { multiplyDims } from "../onnx/symbolic-shape.ts";
import type { Value } from "../onnx/value.ts";
import { tensorsOf } from "./linear-layers.ts";
import type { DenseShape, LayersOnInput, LinearLayers } from "./linear-layers.ts";
import type { Parameters } from "./parameters.ts";

/** See model/lora-groups.ts, which makes them. */
export type LoraGroups = {
  /** Slot of each group's adapter, int64 [groups]. */
  readonly slots: Value;
  /** Cell of the grid that each row is of, int64 [groups, length]. */
  readonly cells: Value;
  /** Row of each cell of the grid, int64 [sequence·batch]. */
  readonly rows: Value;
};

export function loraGroups(graph: GraphBuilder): LoraGroups {
  return {
    slots: graph.input("lora_slots", "int64", ["groups"]),
    cells: graph.input("lora_cells", "int64", ["groups", "length"]),
    rows: graph.input("lora_rows", "int64", [multiplyDims(["batch", "sequence"])]),
  };
}

/** All adapters' tables of word shapes, zeros where one has none: f32 [slots, shapes, width]. */
export const shapeTables = "word_shape_tables";

/**
 * What adapters add to the word embeddings, [rows, width].
 * @param shapes of each row's word, int64 [rows]
 */
export function loraShapes(
  graph: GraphBuilder,
  { slots, cells }: LoraGroups,
  { shapes, width }: { readonly shapes: Value; readonly width: number },
): Value {
  const count = wordShapes.length;
  const tables = graph.input(shapeTables, "float32", ["slots", count, width]);
  const first = slots
    .mul(count)
    .unsqueeze([1])
    .op("Expand", [cells.op("Shape")])
    .reshape([-1]);
  return tables.reshape([-1, width]).gather(first.add(shapes), 0);
}

export function loraLayers(
  layers: LinearLayers,
  parameters: Parameters,
  { slots, cells }: LoraGroups,
): LinearLayers {
  const { graph } = parameters;
  const groups = cells.op("Shape");
  const stack = (name: string, inputs: number | string, outputs: number | string) =>
    graph.input(name, "float32", ["slots", inputs, outputs]).gather(slots, 0);

  /** With the bias that the layer before has left to this one: that layer's is part of what the adapter reads. */
  function whole(x: Value, { bias, inputs }: DenseShape): Value {
    if (typeof bias !== "object") return x;
    return x.add(parameters.tensor(tensorsOf(bias.takes).bias, [inputs]));
  }

  function adapted(x: Value, layer: string, shape: DenseShape): Value {
    const { inputs, outputs, gain = 1 } = shape;
    const rank = `${layer}.rank`;
    const sizes = graph.op("Concat", [groups, graph.integers([inputs])], { axis: 0 });
    const low = whole(x, shape)
      .op("Reshape", [sizes])
      .matMul(stack(`${layer}.lora_A`, inputs, rank));
    return (gain === 1 ? low : low.mul(gain))
      .matMul(stack(`${layer}.lora_B`, rank, outputs))
      .reshape([-1, outputs]);
  }

  return {
    on: (x, input): LayersOnInput => {
      const on = layers.on(x, input);
      return {
        dense: (layer, shape) => {
          const y = on.dense(layer, shape);
          return typeof layer === "string" ? y.add(adapted(x, layer, shape)) : y;
        },
      };
    },
  };
}
