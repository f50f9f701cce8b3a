/** A model that onnx's own Python wrote (reference/make_reference.py), and what its evaluator computes with it. */
import { readFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { decodeModel } from "../../gpu-worker/onnx/decode-model.ts";
import { encodeModelProto } from "../../gpu-worker/onnx/encode-model-proto.ts";
import { arrayTypes } from "../../gpu-worker/tensor/dtype.ts";
import { float32 } from "../../gpu-worker/tensor/tensor.ts";
import { runModel } from "./run-graph.ts";

const folder = path.join(import.meta.dirname, "reference");
const bytes = await readFile(path.join(folder, "reference.onnx"));
const Runs = z.array(
  z.object({
    flag: z.boolean(),
    x: z.array(z.array(z.number())),
    all: z.array(z.number()),
    y: z.array(z.number()),
  }),
);
const runs = Runs.parse(JSON.parse(await readFile(path.join(folder, "expected.json"), "utf8")));

describe("a model of onnx's own Python", () => {
  const graph = decodeModel(bytes);

  it("is read with its names, types, opsets and metadata", () => {
    expect(graph).toMatchObject({
      name: "reference",
      opsets: { "": 21 },
      metadata: { purpose: "reference" },
      inputs: [
        { name: "x", dtype: "float32", shape: ["batch", 3] },
        { name: "flag", dtype: "bool", shape: [] },
      ],
      outputs: [
        { name: "all", dtype: "float32", shape: [39] },
        { name: "y", dtype: "float32", shape: ["batch"] },
      ],
    });
  });

  it("has a constant of every element type, each named after its own", () => {
    const dtypes = graph.initializers.map(({ dtype }) => dtype);
    expect(dtypes).toEqual(graph.initializers.map(({ name }) => name));
    expect(dtypes.toSorted()).toEqual(Object.keys(arrayTypes).toSorted());
  });

  it.each(runs)("computes, read and written again, what onnx computes: $flag", async (run) => {
    const flag = { dtype: "bool", shape: [], data: Uint8Array.of(run.flag ? 1 : 0) } as const;
    const feeds = { x: float32([run.x.length, 3], run.x.flat()), flag };
    const { all, y } = await runModel(encodeModelProto(graph), feeds);
    expect(all?.data).toEqual(run.all);
    expect(y?.shape).toEqual([run.y.length]);
    for (const [at, value] of run.y.entries()) expect(y?.data[at]).toBeCloseTo(value, 3);
  });
});
