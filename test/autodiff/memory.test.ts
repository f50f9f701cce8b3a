/**
 * What a training holds in memory: activation checkpointing, and the loss over a large vocabulary. What the runtime
 * makes of the graph decides.
 */
import { describe, expect, it } from "vitest";
import { seededDropout } from "../../gpu-worker/autodiff/dropout.ts";
import { gradient } from "../../gpu-worker/autodiff/gradient.ts";
import { accumulateGradients } from "../../gpu-worker/autodiff/optimizers/accumulate-gradients.ts";
import { sgd } from "../../gpu-worker/autodiff/optimizers/sgd.ts";
import type { Graph } from "../../gpu-worker/onnx/graph.ts";
import { GraphBuilder } from "../../gpu-worker/onnx/graph-builder.ts";
import { int64, tensor } from "../../gpu-worker/tensor/tensor.ts";
import { numbers, runGraph } from "../onnx/run-graph.ts";
import { peakBytes, profileRun } from "./profile-run.ts";
import type { Profile } from "./profile-run.ts";

const layers = 8;
const width = 16;
const rows = 64;
const parameters = Array.from({ length: layers }, (_, layer) => `layer.${layer}.weight`);

/** Residual layers of three products each, with dropout; and what each gives. */
function deep(): { graph: Graph; outputs: string[] } {
  const graph = new GraphBuilder("deep");
  const drop = seededDropout(graph);
  let x = graph
    .input("x", "float32", ["batch", width])
    .op("LayerNormalization", [
      graph.constant(tensor("float32", [width], new Float32Array(width).fill(1)), "scale"),
    ]);
  const outputs = [x.name];
  for (const [layer, name] of parameters.entries()) {
    const weight = graph.input(name, "float32", [width, width]);
    x = graph.scope(`layer.${layer}`, () => {
      const product = (from: typeof x) => from.op("Gemm", [weight], { transB: 1 });
      return x.add(drop(product(product(product(x).tanh()).op("Gelu")).op("Sigmoid"), 0.1));
    });
    outputs.push(x.name);
  }
  graph.output("loss", x.mul(x).op("ReduceMean", [], { keepdims: 0 }));
  return { graph: graph.build(), outputs };
}

const { graph, outputs } = deep();
const plain = gradient(graph, { loss: "loss", parameters });
const checkpointed = gradient(graph, { loss: "loss", parameters, checkpoints: outputs });

/** What reads the gradients decides when the runtime computes them. */
const consumers = {
  sgd: (each: Graph) => sgd(each, { groups: [{ parameters }], maxNorm: 1 }),
  "accumulated gradients": (each: Graph) => accumulateGradients(each, parameters),
};

const feeds = {
  x: tensor("float32", [rows, width], numbers(rows * width, 3)),
  seed: int64([], [7]),
  lr: tensor("float32", [], Float32Array.of(0.1)),
  weight: tensor("float32", [], Float32Array.of(1)),
  first: tensor("bool", [], Uint8Array.of(1)),
  ...Object.fromEntries(
    parameters.flatMap((name, at) =>
      [name, `${name}.momentum_buffer`, `${name}.grad_sum`].map((each) => {
        return [each, tensor("float32", [width, width], numbers(width * width, at + 5))] as const;
      }),
    ),
  ),
};

const count = ({ order }: Profile, operator: string) =>
  order.filter((ran) => ran.operator === operator).length;

describe("checkpoints", () => {
  it.each(["all", "disabled"] as const)("leave the gradients as they are (%s)", async (level) => {
    const [kept, again] = [
      await runGraph(plain, feeds, level),
      await runGraph(checkpointed, feeds, level),
    ];
    expect(again).toEqual(kept);
    expect(kept["layer.0.weight.grad"]?.data.some((element) => element !== 0)).toBe(true);
  });

  it.each(Object.entries(consumers))(
    "are computed from again, in less memory (%s)",
    async (_, make) => {
      const [kept, again] = [
        await profileRun(make(plain), feeds),
        await profileRun(make(checkpointed), feeds),
      ];
      expect([count(kept, "Gelu"), count(again, "Gelu")]).toEqual([layers, 2 * layers]);
      const places = again.order.flatMap(({ operator }, at) => (operator === "Gelu" ? [at] : []));
      const between = places
        .slice(layers)
        .map((place, at) => place - (places[layers + at - 1] ?? 0));
      // Layer by layer: the backward part of a layer runs before the next is computed again.
      expect(Math.min(...between)).toBeGreaterThan(10);
      expect(peakBytes(again)).toBeLessThan(0.5 * peakBytes(kept));
    },
  );

  it("must be given in the order in which they are computed", () => {
    const checkpoints = outputs.toReversed();
    const attempt = () => gradient(graph, { loss: "loss", parameters, checkpoints });
    expect(attempt).toThrow(/is computed in another order/);
  });
});

describe("a loss over a large vocabulary", () => {
  it("holds two arrays of the logits' size at most", async () => {
    const [tokens, vocabulary, inner] = [128, 1000, 4];
    const builder = new GraphBuilder("loss");
    const states = builder.input("states", "float32", ["tokens", inner]);
    const weight = builder.input("weight", "float32", [vocabulary, inner]);
    const labels = builder.input("labels", "int64", ["tokens"]);
    const counted = labels
      .op("Equal", [builder.scalar("int64", -100)])
      .op("Not")
      .cast("float32");
    const own = states
      .op("Gemm", [weight], { transB: 1 })
      .op("LogSoftmax", [], { axis: -1 })
      .op("GatherElements", [labels.max(0).unsqueeze([1])], { axis: 1 })
      .squeeze([1])
      .mul(counted);
    builder.output(
      "loss",
      own
        .sum([0], false)
        .neg()
        .div(counted.sum([0], false).max(1)),
    );
    const names = ["states", "weight"];
    const run = await profileRun(gradient(builder.build(), { loss: "loss", parameters: names }), {
      states: tensor("float32", [tokens, inner], numbers(tokens * inner)),
      weight: tensor("float32", [vocabulary, inner], numbers(vocabulary * inner, 2)),
      labels: int64(
        [tokens],
        numbers(tokens, 3).map((x) => (x < 0 ? -100 : Math.round(x * 900))),
      ),
    });
    expect(peakBytes(run) / (4 * tokens * vocabulary)).toBeLessThan(2.2);
  });
});
