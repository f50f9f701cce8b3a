/**
 * Linear layers with adapters of low rank (Hu et al., LoRA, https://arxiv.org/abs/2106.09685) of many tuned models side
 * by side, one for each text: y + (x·A)·B, where A and B are those of the text's adapter. They lie in stacks, which are
 * inputs: `<layer>.lora_A` f32 [slots, rank, in] and `<layer>.lora_B` f32 [slots, rank, out], with the adapter's scale
 * in B. A rank may be 0, where no adapter has the layer.
 *
 * Rows of tokens come in groups of one adapter or two each, all equally long. Each group has one pair of products, by
 * its adapters side by side, and of what the first gives a row keeps its own adapter's part. All of a batch's adapters
 * side by side would cost by their number; two cost little more than one, whose product leaves half of a processor's
 * registers empty.
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
  /** Slots of each group's adapters, int64 [groups, members]. */
  readonly slots: Value;
  /** Cell of the grid that each row is of, int64 [groups, length]. */
  readonly cells: Value;
  /** Which of its group's adapters each row is of, int64 [groups, length]. */
  readonly places: Value;
  /** Row of each cell of the grid, int64 [sequence·batch]. */
  readonly rows: Value;
};

export function loraGroups(graph: GraphBuilder): LoraGroups {
  return {
    slots: graph.input("lora_slots", "int64", ["groups", "members"]),
    cells: graph.input("lora_cells", "int64", ["groups", "length"]),
    places: graph.input("lora_places", "int64", ["groups", "length"]),
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
  { slots, places }: LoraGroups,
  { shapes, width }: { readonly shapes: Value; readonly width: number },
): Value {
  const count = wordShapes.length;
  const tables = graph.input(shapeTables, "float32", ["slots", count, width]);
  const first = slots.op("GatherElements", [places], { axis: 1 }).mul(count).reshape([-1]);
  return tables.reshape([-1, width]).gather(first.add(shapes), 0);
}

export function loraLayers(
  layers: LinearLayers,
  parameters: Parameters,
  groups: LoraGroups,
): LinearLayers {
  const { graph } = parameters;
  const { slots, cells } = groups;
  const grid = cells.op("Shape");
  const nothing = graph.scalar("float32", 0);

  /** Of each group's adapters below each other, [groups, members·rank, width]. */
  function stack(name: string, rank: string, width: number): Value {
    const each = graph.input(name, "float32", ["slots", rank, width]).gather(slots, 0);
    return each.reshape([0, -1, width]);
  }

  /** With the bias that the layer before has left to this one: that layer's is part of what the adapter reads. */
  function whole(x: Value, { bias, inputs }: DenseShape): Value {
    if (typeof bias !== "object") return x;
    return x.add(parameters.tensor(tensorsOf(bias.takes).bias, [inputs]));
  }

  function adapted(x: Value, layer: string, shape: DenseShape): Value {
    const { inputs, outputs, gain = 1 } = shape;
    const rank = `${layer}.rank`;
    const sizes = graph.op("Concat", [grid, graph.integers([inputs])], { axis: 0 });
    const low = whole(x, shape)
      .op("Reshape", [sizes])
      .op("com.microsoft.FusedMatMul", [stack(`${layer}.lora_A`, rank, inputs)], { transB: 1 });
    const columns = multiplyDims(["members", rank]);
    // Chosen, not multiplied by 0: what overflows in another adapter stays there.
    return graph
      .input(`${layer}.lora_own`, "bool", ["groups", "length", columns])
      .op("Where", [gain === 1 ? low : low.mul(gain), nothing])
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
