/** A rotation is orthogonal and spreads; a checkpoint that is rotated computes what it computed. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { buildCausalTransformer } from "../../gpu-worker/architectures/causal-transformer.ts";
import { decoderOf } from "../../gpu-worker/architectures/decoder.ts";
import { KroneckerRotation } from "../../gpu-worker/architectures/kronecker-rotation.ts";
import { canRotate, rotatedWeights } from "../../gpu-worker/architectures/rotated-weights.ts";
import { Rotation } from "../../gpu-worker/architectures/rotation.ts";
import { wholeText } from "../../gpu-worker/model/decoder-feeds.ts";
import { encodeModel } from "../../gpu-worker/onnx/encode-model.ts";
import type { Graph } from "../../gpu-worker/onnx/graph.ts";
import { GraphBuilder } from "../../gpu-worker/onnx/graph-builder.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { Runtime } from "../../gpu-worker/runtime/session.ts";
import { readFloat32 } from "../../gpu-worker/weights/read-float32.ts";
import { tensor } from "../../gpu-worker/tensor/tensor.ts";
import type { WeightSource } from "../../gpu-worker/weights/weight-source.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { numbers, runGraph } from "../onnx/run-graph.ts";
import { machineSaturates } from "./machine-saturates.ts";

describe.each([1, 7, 40, 64, 576])("a rotation of %d features", (size) => {
  const rotation = new Rotation(size);
  const turned = rotation.matrix();

  it("is orthogonal", () => {
    for (let one = 0; one < size; one += 1) {
      for (let other = one; other < size; other += Math.ceil(size / 8)) {
        let product = 0;
        for (let at = 0; at < size; at += 1) {
          product += (turned[one * size + at] ?? NaN) * (turned[other * size + at] ?? NaN);
        }
        expect(product).toBeCloseTo(one === other ? 1 : 0, 5);
      }
    }
  });

  it("multiplies rows by its matrix, and spreads one feature over all", () => {
    const row = numbers(size, 3);
    const product = Float32Array.from({ length: size }, (_, column) =>
      row.reduce((sum, value, at) => sum + value * (turned[at * size + column] ?? NaN), 0),
    );
    for (const [at, value] of rotation.rows(row).entries()) {
      expect(value).toBeCloseTo(product[at] ?? NaN, 4);
    }
    const largest = turned.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(largest * Math.sqrt(size)).toBeLessThan(2);
  });
});

describe.each([1, 7, 40, 64, 1_536])("a rotation of %d features by two", (size) => {
  const graph = new GraphBuilder("rotate");
  const rotation = new KroneckerRotation(graph, size);

  it("gives in a graph what it gives of a matrix, and changes no product of two rows", async () => {
    const shape = [2, 3, size];
    const rows = numbers(6 * size, 3);
    graph.output("y", rotation.rotate(graph.input("x", "float32", ["batch", "sequence", size])));
    const { y } = await runGraph(graph.build(), { x: tensor("float32", shape, rows) });
    const turned = rotation.rotateRows(rows);
    expect(y?.shape).toEqual(shape);
    for (const [at, value] of turned.entries()) expect(y?.data[at]).toBeCloseTo(value, 4);
    const times = (all: Float32Array, one: number, other: number) =>
      Array.from({ length: size }, (_, at) => at).reduce(
        (sum, at) => sum + (all[one * size + at] ?? NaN) * (all[other * size + at] ?? NaN),
        0,
      );
    for (const [one, other] of [
      [0, 0],
      [0, 1],
      [2, 5],
    ] as const) {
      expect(times(turned, one, other)).toBeCloseTo(times(rows, one, other), 3);
    }
  });

  it("spreads one feature over all", () => {
    const row = new Float32Array(size);
    row[size >> 1] = 1;
    const largest = rotation.rotateRows(row).reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    expect(largest * Math.sqrt(size)).toBeLessThan(3);
  });
});

const saturates = await machineSaturates();
const folder = path.join(import.meta.dirname, "decoders");
const names = readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? [entry.name] : [],
);

function open(name: string) {
  const config: unknown = JSON.parse(readFileSync(path.join(folder, name, "config.json"), "utf8"));
  const weights = openSafetensors(path.join(folder, name, "model.safetensors"));
  return { architecture: decoderOf(config), weights };
}

describe("rotated weights", () => {
  let runtime: Runtime;

  beforeAll(async () => {
    runtime = await openRuntime({
      log: { info: () => undefined, warn: () => undefined },
      threads: 1,
    });
  });

  async function logitsOf(graph: Graph): Promise<number[]> {
    const bytes = await encodeModel(graph);
    const session = await runtime.load({ bytes }, { threads: 1, provider: "cpu" });
    const { logits } = await session.run(wholeText(session, [3, 17, 5, 29, 8, 1, 22, 11]));
    await session.release();
    return Array.from(logits?.data ?? [], Number);
  }

  it.each(names.filter((name) => canRotate(open(name).architecture)))(
    "of %s compute the same logits",
    async (name) => {
      const { architecture, weights } = open(name);
      const exact = await logitsOf(
        buildCausalTransformer(architecture, weights, { positions: 32 }),
      );
      const rotated = rotatedWeights(architecture, weights);
      const found = await logitsOf(
        buildCausalTransformer(architecture, rotated, { positions: 32 }),
      );
      const table = weights.names().find((each) => each.endsWith("embed_tokens.weight")) ?? "";
      expect(readFloat32(rotated, table)).not.toEqual(readFloat32(weights, table));
      weights.close();
      const far = exact.map((logit, at) => Math.abs(logit - (found[at] ?? NaN)));
      expect(Math.max(...far)).toBeLessThan(1e-4);
    },
  );

  it("compute zeros of a token that is all zeros, in 8 bits too", async () => {
    const { architecture, weights } = open("llama-yarn");
    const table = weights.names().find((each) => each.endsWith("embed_tokens.weight")) ?? "";
    const read: WeightSource["read"] = (name) => {
      const found = weights.read(name);
      if (name !== table) return found;
      return tensor("float32", found.shape, new Float32Array(found.data.length));
    };
    const options = { positions: 32, form: "int8-rotated" } as const;
    const logits = await logitsOf(
      buildCausalTransformer(architecture, { ...weights, read }, options),
    );
    weights.close();
    expect(new Set(logits.map(Math.abs))).toEqual(new Set([0]));
  });

  it.skipIf(saturates)("compute the same, shifted for processors that saturate", async () => {
    const { architecture, weights } = open("llama-all-biases");
    const options = { positions: 32, form: "int8-rotated" } as const;
    const build = (shifted: boolean) =>
      buildCausalTransformer(architecture, weights, { ...options, saturates: shifted });
    expect(await logitsOf(build(true))).toEqual(await logitsOf(build(false)));
    weights.close();
  });

  it("are of most families, but of none that norms what it adds to the hidden state", () => {
    const families = names.map((name) => [name, canRotate(open(name).architecture)] as const);
    expect(families.filter(([, can]) => can).length).toBeGreaterThan(names.length / 2);
    for (const [name, can] of families) expect(can, name).toBe(!name.startsWith("gemma"));
  });

  it("are none of sizes whose transform would take too long", () => {
    const { architecture } = open("llama-yarn");
    expect(canRotate({ ...architecture, hidden: 4 * 61 })).toBe(true);
    expect(canRotate({ ...architecture, hidden: 4 * 67 })).toBe(false);
    expect(canRotate({ ...architecture, headWidth: 8_191 })).toBe(false);
    expect(canRotate({ ...architecture, intermediate: 2 * 67 })).toBe(false);
  });

  it("have no adapters", () => {
    const { architecture, weights } = open("llama-yarn");
    const options = { form: "int8-rotated", lora: true } as const;
    expect(() => buildCausalTransformer(architecture, weights, options)).toThrow(/int8/);
    weights.close();
  });
});
