/**
 * A graph with stacks of adapters, in each form: without adapters it gives to the bit what the plain graph gives; with
 * them, what the plain graph gives of the checkpoint that they were merged into.
 */
import { describe, expect, it } from "vitest";
import type { ComputeForm } from "../../gpu-worker/architectures/encoder-head.ts";
import { shapeTable } from "../../gpu-worker/architectures/embedding.ts";
import { buildEncoder } from "../../gpu-worker/architectures/encoder.ts";
import { shapeTables } from "../../gpu-worker/architectures/lora-layers.ts";
import { promptVectors } from "../../gpu-worker/architectures/virtual-tokens.ts";
import { groupTokens, ownColumns } from "../../gpu-worker/model/lora-groups.ts";
import { wordShapes } from "../../gpu-worker/model/word-shapes.ts";
import type { Graph } from "../../gpu-worker/onnx/graph.ts";
import { int64, tensor, type Tensor } from "../../gpu-worker/tensor/tensor.ts";
import { numbers, runGraph } from "../onnx/run-graph.ts";
import { machineSaturates } from "./machine-saturates.ts";
import type { Weights } from "./plain-bert.ts";
import { configFile, plainConfig, randomWeights, sourceOf } from "./tiny-checkpoint.ts";

const texts = [
  { ids: [3, 7, 12, 9, 30], adapter: 1 },
  { ids: [4, 41, 2], adapter: 0 },
  { ids: [8, 8, 21, 33], adapter: 2 },
  { ids: [17], adapter: 1 },
];
const sequence = 6;
const slots = 3;
const rank = 2;
const weights = randomWeights(plainConfig);
const saturates = await machineSaturates();

function build(form: ComputeForm, lora: boolean, of: Weights = weights): Graph {
  const head = { name: "none" } as const;
  const source = sourceOf(of, (name) => name);
  const options = { head, form, packed: true, lora, saturates };
  return buildEncoder(configFile(plainConfig), source, options);
}

/** int64 [texts, sequence] of each id; of padding, undefined. */
function grid(value: (id: number | undefined) => number): Tensor {
  const cells = texts.flatMap(({ ids }) =>
    Array.from({ length: sequence }, (_, at) => value(ids[at])),
  );
  return int64([texts.length, sequence], cells);
}

/** With shapes of words, for a graph that reads them. */
function shapedFeeds(): Record<string, Tensor> {
  return { ...plainFeeds(), word_shapes: grid((id = 0) => id % wordShapes.length) };
}

function plainFeeds(): Record<string, Tensor> {
  return {
    input_ids: grid((id) => id ?? 0),
    attention_mask: grid((id) => (id === undefined ? 0 : 1)),
    token_type_ids: grid(() => 0),
  };
}

type Stacks = ReadonlyMap<string, Tensor<"float32">>;

/** Slot 0 is empty. */
function stacksOf(graph: Graph, stackRank: number): Stacks {
  const inputs = graph.inputs.filter(({ name }) => /lora_[AB]$|_tables$/.test(name));
  return new Map(
    inputs.map(({ name, shape }, seed) => {
      const sizes = shape.map((dim) =>
        dim === "slots" ? slots : typeof dim === "number" ? dim : stackRank,
      );
      const each = sizes.reduce((product, size) => product * size, 1) / slots;
      const data = numbers(each * slots, seed + 7).map((value) => value / 2);
      return [name, tensor("float32", sizes, data.fill(0, 0, each))];
    }),
  );
}

function groupedFeeds(adapters: readonly number[], stacks: Stacks): Record<string, Tensor> {
  const of = texts.map(({ ids }, at) => ({ tokens: ids.length, adapter: adapters[at] ?? 0 }));
  const groups = groupTokens(of, sequence, 1);
  const count = groups.adapters.length / groups.members;
  const places = tensor("int64", [count, groups.length], groups.places);
  const own = [...stacks].flatMap(([name, { shape }]) =>
    name.endsWith(".lora_A")
      ? [[name.replace("_A", "_own"), ownColumns(places, groups.members, shape[1] ?? 0)] as const]
      : [],
  );
  return {
    ...shapedFeeds(),
    ...Object.fromEntries(stacks),
    lora_slots: int64([count, groups.members], groups.adapters),
    lora_cells: tensor("int64", [count, groups.length], groups.cells),
    lora_places: places,
    ...Object.fromEntries(own),
    [promptVectors]: tensor(
      "float32",
      [1, plainConfig.hidden],
      new Float32Array(plainConfig.hidden),
    ),
    lora_rows: tensor("int64", [texts.length * sequence], groups.rows),
  };
}

/** W + (A·B)ᵀ of the slot, in each layer, and its table of word shapes. */
function merged(stacks: Stacks, slot: number): Weights {
  const all = new Map(weights);
  const tables = stacks.get(shapeTables);
  const [, rows = 0, width = 0] = tables?.shape ?? [];
  const table = tables?.data.slice(slot * rows * width, (slot + 1) * rows * width);
  all.set(shapeTable, { shape: [rows, width], data: table ?? new Float32Array() });
  for (const [name, { shape, data: down }] of stacks) {
    if (!name.endsWith(".lora_A")) continue;
    const layer = name.replace(/\.lora_A$/, "");
    const up = stacks.get(`${layer}.lora_B`);
    const weight = all.get(`${layer}.weight`);
    if (up === undefined || weight === undefined) throw new Error(`no ${layer}`);
    const inputs = shape[2] ?? 0;
    const outputs = up.shape[2] ?? 0;
    const data = weight.data.map((element, at) => {
      const [output, input] = [Math.floor(at / inputs), at % inputs];
      let sum = element;
      for (let low = 0; low < rank; low += 1) {
        const a = down[(slot * rank + low) * inputs + input] ?? 0;
        sum += a * (up.data[(slot * rank + low) * outputs + output] ?? 0);
      }
      return sum;
    });
    all.set(`${layer}.weight`, { shape: weight.shape, data });
  }
  return all;
}

/** Vectors of each text's tokens. */
async function statesOf(graph: Graph, feeds: Record<string, Tensor>): Promise<number[][]> {
  const { last_hidden_state: states } = await runGraph(graph, feeds);
  const width = plainConfig.hidden;
  return texts.map(({ ids }, at) => {
    const from = at * sequence * width;
    return states?.data.slice(from, from + ids.length * width) ?? [];
  });
}

describe.each(["f32", "int8", "f16"] as const)("an encoder that takes adapters, in %s", (form) => {
  it.each([0, rank])(
    "gives without any what it gives by itself, in stacks of rank %i",
    async (of) => {
      const graph = build(form, true);
      const none = groupedFeeds([0, 0, 0, 0], stacksOf(graph, of));
      expect(await statesOf(graph, none)).toEqual(await statesOf(build(form, false), plainFeeds()));
    },
  );

  it("gives of each text what the checkpoint gives that the text's adapter is merged into", async () => {
    const graph = build(form, true);
    const stacks = stacksOf(graph, rank);
    const mixed = await statesOf(
      graph,
      groupedFeeds(
        texts.map(({ adapter }) => adapter),
        stacks,
      ),
    );
    const tolerance = { f32: 1e-5, f16: 0.03, int8: 0.3 }[form];
    for (const slot of [0, 1, 2]) {
      const alone = await statesOf(build(form, false, merged(stacks, slot)), shapedFeeds());
      for (const [at, { adapter }] of texts.entries()) {
        if (adapter !== slot) continue;
        const apart = mixed[at]?.map((value, index) =>
          Math.abs(value - (alone[at]?.[index] ?? NaN)),
        );
        expect(Math.max(...(apart ?? [NaN]))).toBeLessThan(tolerance);
      }
    }
  });

  it("keeps what overflows in an adapter from the texts of others", async () => {
    const graph = build(form, true);
    const adapters = texts.map(({ adapter }) => adapter);
    const calm = stacksOf(graph, rank);
    const wild = new Map(calm);
    for (const [name, { shape, data }] of calm) {
      if (!/lora_[AB]$/.test(name)) continue;
      const each = data.length / slots;
      // Slot 1's: products of these are beyond half precision, and with each other beyond float32.
      wild.set(name, tensor("float32", shape, data.slice().fill(60_000, each, 2 * each)));
    }
    const feeds = groupedFeeds(adapters, wild);
    expect(feeds["lora_slots"]?.shape).toEqual([2, 2]);
    const others = (all: number[][]) => all.filter((_, at) => adapters[at] !== 1);
    const before = await statesOf(graph, groupedFeeds(adapters, calm));
    expect(others(await statesOf(graph, feeds))).toEqual(others(before));
  });
});
