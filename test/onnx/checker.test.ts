/** Files that we write, to onnx's own checker, where Python has it: see bench/peers/install-python.sh. */
import { execFileSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { buildEncoder, headOfCheckpoint } from "../../gpu-worker/architectures/encoder.ts";
import type { EncoderOptions } from "../../gpu-worker/architectures/encoder-head.ts";
import { GraphBuilder } from "../../gpu-worker/onnx/graph-builder.ts";
import type { Attribute, Graph } from "../../gpu-worker/onnx/graph.ts";
import { writeModel } from "../../gpu-worker/onnx/write-model.ts";
import { tensor } from "../../gpu-worker/tensor/tensor.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { peerPython } from "../peer-python.ts";
import { numbers } from "./run-graph.ts";

const usable = peerPython({
  modules: ["onnx", "numpy"],
  what: "onnx's checker",
  script: "install-python.sh",
  folder: "python",
});

const checkpoints = path.join(import.meta.dirname, "../architectures/checkpoints");
const Found = z.record(z.string(), z.string().nullable());

/** As served on a GPU, as served on CPUs, and in parts by a loop. */
const options: Record<string, Partial<EncoderOptions>> = {
  plain: { form: "f32" },
  f16: { form: "f16", packed: true },
  int8: { form: "int8", packed: true },
  parts: { form: "f32", packed: true, scoreBytes: 64 },
};

/** One constant inline, one in the file beside it, one for each element type that is seldom seen. */
function mixedConstants(): Graph {
  const graph = new GraphBuilder("mixed-constants", { purpose: "test" });
  const x = graph.input("x", "float32", ["batch", 64]);
  const large = graph.constant(tensor("float32", [64, 512], numbers(64 * 512)), "large");
  const half = graph.constant(tensor("float16", [2], Uint16Array.of(0x3c00, 0x4000)), "half");
  const brain = graph.constant(tensor("bfloat16", [2], Uint16Array.of(0x3f80, 0x4000)), "brain");
  graph.output("y", x.matMul(large).op("Gelu", [], { approximate: "tanh" }));
  graph.output("half_f32", half.cast("float32"));
  graph.output("brain_f32", brain.cast("float32"));
  return graph.build();
}

const printAttributes = `
import json, sys, onnx
node = onnx.load(sys.argv[1]).graph.node[0]
values = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
print(json.dumps(values, default=bytes.decode))
`;

describe.skipIf(usable === null)("onnx's checker", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "onnx-checker-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** What it finds in each file, by name. */
  const check = (names: readonly string[]) => {
    const script = path.join(import.meta.dirname, "check_models.py");
    const files = names.map((name) => path.join(folder, name));
    const printed = execFileSync(usable ?? "", [script, ...files], { encoding: "utf8" });
    const found = Object.entries(Found.parse(JSON.parse(printed)));
    return Object.fromEntries(found.map(([file, problem]) => [path.basename(file), problem]));
  };

  it("finds nothing wrong with constants inline and in a file beside the model", async () => {
    const written = await writeModel(mixedConstants(), path.join(folder, "mixed.onnx"));
    expect(written).toHaveLength(2);
    expect(check(["mixed.onnx"])).toEqual({ "mixed.onnx": null });
  });

  it("finds a graph that claims another shape than it has", async () => {
    const graph = mixedConstants();
    const outputs = graph.outputs.map((output) => ({ ...output, shape: ["batch", 511] }));
    await writeModel({ ...graph, outputs }, path.join(folder, "wrong.onnx"));
    expect(check(["wrong.onnx"])["wrong.onnx"]).toMatch(/InferenceError/);
  });

  it("reads every kind of attribute as it was written", async () => {
    const attributes: Record<string, Attribute> = {
      int: { kind: "int", value: -(2n ** 53n) },
      zero: { kind: "int", value: 0n },
      float: { kind: "float", value: 0.125 },
      string: { kind: "string", value: "äöü" },
      ints: { kind: "ints", value: [1n, -2n] },
      floats: { kind: "floats", value: [0.5, -3] },
      strings: { kind: "strings", value: ["a", ""] },
    };
    const graph = mixedConstants();
    const node = { name: "n", domain: "x", operator: "Y", inputs: ["x", ""], outputs: ["z"] };
    const file = path.join(folder, "attributes.onnx");
    await writeModel({ ...graph, nodes: [{ ...node, attributes }] }, file);
    const printed = execFileSync(usable ?? "", ["-c", printAttributes, file], { encoding: "utf8" });
    expect(JSON.parse(printed)).toEqual({
      int: -(2 ** 53),
      zero: 0,
      float: 0.125,
      string: "äöü",
      ints: [1, -2],
      floats: [0.5, -3],
      strings: ["a", ""],
    });
  });

  it.each(Object.entries(options))("finds nothing wrong with encoders: %s", async (label, form) => {
    const entries = await readdir(checkpoints, { withFileTypes: true });
    const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    for (const name of names) {
      const text = await readFile(path.join(checkpoints, name, "config.json"), "utf8");
      const config: unknown = JSON.parse(text);
      const weights = openSafetensors(path.join(checkpoints, name, "model.safetensors"));
      try {
        const head = headOfCheckpoint(config);
        const graph = buildEncoder(config, weights, { head, form: "f32", ...form });
        await writeModel(graph, path.join(folder, `${name}-${label}.onnx`));
      } finally {
        weights.close();
      }
    }
    const files = names.map((name) => `${name}-${label}.onnx`);
    expect(check(files)).toEqual(Object.fromEntries(files.map((file) => [file, null])));
  });
});
