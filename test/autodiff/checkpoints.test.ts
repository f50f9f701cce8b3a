/**
 * Activation checkpointing: the same gradients from less memory. What the runtime makes of the graph decides: the order in
 * which it runs the nodes is read from its own profile.
 */
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { InferenceSession } from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { seededDropout } from "../../gpu-worker/autodiff/dropout.ts";
import { gradient } from "../../gpu-worker/autodiff/gradient.ts";
import { accumulateGradients } from "../../gpu-worker/autodiff/optimizers/accumulate-gradients.ts";
import { sgd } from "../../gpu-worker/autodiff/optimizers/sgd.ts";
import { decodeModel } from "../../gpu-worker/onnx/decode-model.ts";
import { encodeModelProto } from "../../gpu-worker/onnx/encode-model-proto.ts";
import type { Graph } from "../../gpu-worker/onnx/graph.ts";
import { GraphBuilder } from "../../gpu-worker/onnx/graph-builder.ts";
import { int64, tensor } from "../../gpu-worker/tensor/tensor.ts";
import { numbers, runGraph, toOrt } from "../onnx/run-graph.ts";

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

const Events = z.array(
  z.looseObject({
    name: z.string().optional(),
    args: z
      .looseObject({ op_name: z.string(), output_size: z.coerce.number() })
      .optional()
      .catch(undefined),
  }),
);

type Ran = { readonly name: string; readonly operator: string; readonly bytes: number };
type Profile = { readonly order: readonly Ran[]; readonly graph: Graph };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "llm-os-checkpoints-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The nodes in the order in which they ran, and the graph that the runtime has made. */
async function profile(given: Graph, label: string): Promise<Profile> {
  const file = path.join(folder, `${label}.onnx`);
  const session = await InferenceSession.create(encodeModelProto(given), {
    logSeverityLevel: 3,
    enableProfiling: true,
    profileFilePrefix: path.join(folder, label),
    optimizedModelFilePath: file,
  });
  const inputs = Object.entries(feeds)
    .filter(([name]) => session.inputNames.includes(name))
    .map(([name, value]) => [name, toOrt(value)] as const);
  await session.run(Object.fromEntries(inputs));
  session.endProfiling();
  await session.release();
  const written = (await readdir(folder)).find((each) => each.startsWith(`${label}_`)) ?? "";
  const events = Events.parse(JSON.parse(await readFile(path.join(folder, written), "utf8")));
  const order = events.flatMap(({ name = "", args }) => {
    const node = /^(.*)_kernel_time$/.exec(name)?.[1];
    if (node === undefined || args === undefined) return [];
    return [{ name: node, operator: args.op_name, bytes: args.output_size }];
  });
  return { order, graph: decodeModel(await readFile(file)) };
}

/** Most bytes of results that are still to be read, over the run. */
function peakBytes({ order, graph: run }: Profile): number {
  const nodes = new Map(run.nodes.map((node) => [node.name, node]));
  const producers = new Map(
    run.nodes.flatMap(({ name, outputs: made }) => made.map((output) => [output, name] as const)),
  );
  const lastReads = new Map<string, number>();
  for (const [at, { name }] of order.entries()) {
    lastReads.set(name, at);
    for (const input of nodes.get(name)?.inputs ?? []) {
      const producer = producers.get(input);
      if (producer !== undefined) lastReads.set(producer, at);
    }
  }
  let [live, most] = [0, 0];
  for (const [at, { bytes }] of order.entries()) {
    live += bytes;
    most = Math.max(most, live);
    for (const ran of order.slice(0, at + 1)) if (lastReads.get(ran.name) === at) live -= ran.bytes;
  }
  return most;
}

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
        await profile(make(plain), "plain"),
        await profile(make(checkpointed), "checkpointed"),
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
