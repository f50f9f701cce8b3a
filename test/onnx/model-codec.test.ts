import { mkdtemp, open, readFile, rm, stat } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeModel } from "../../gpu-worker/onnx/decode-model.ts";
import { encodeModelProto } from "../../gpu-worker/onnx/encode-model-proto.ts";
import { GraphBuilder } from "../../gpu-worker/onnx/graph-builder.ts";
import { GraphError } from "../../gpu-worker/onnx/graph.ts";
import type { Graph } from "../../gpu-worker/onnx/graph.ts";
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProtoSchema,
} from "../../gpu-worker/onnx/proto/onnx_pb.js";
import { verifyGraph } from "../../gpu-worker/onnx/verify-graph.ts";
import { writeBytes } from "../../gpu-worker/onnx/write-bytes.ts";
import { writeModel } from "../../gpu-worker/onnx/write-model.ts";
import { float32, tensor } from "../../gpu-worker/tensor/tensor.ts";
import { numbers, runGraph, runModel } from "./run-graph.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "model-codec-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** x [batch, 64] through a large and a small matrix. */
function twoLayers(): Graph {
  const graph = new GraphBuilder("two-layers", { purpose: "test" });
  const x = graph.input("x", "float32", ["batch", 64]);
  const large = graph.constant(tensor("float32", [64, 512], numbers(64 * 512)), "large");
  const small = graph.constant(tensor("float32", [512, 3], numbers(512 * 3, 5)), "small");
  graph.output("y", x.matMul(large).op("Gelu", [], { approximate: "tanh" }).matMul(small).mul(0.5));
  return graph.build();
}

const feeds = { x: float32([2, 64], numbers(128, 3)) };

function withLoaded(graph: Graph) {
  const initializers = graph.initializers.map(({ load, ...rest }) => ({ ...rest, data: load() }));
  return { ...graph, initializers };
}

const tensorField = TensorProtoSchema.field;

/** A message with one field, which is a message. */
function nested(field: number, message: Uint8Array): Uint8Array {
  return new BinaryWriter().tag(field, WireType.LengthDelimited).bytes(message).finish();
}

/** A model with one constant. */
function modelWith(constant: Uint8Array): Uint8Array {
  const graph = nested(GraphProtoSchema.field.initializer.number, constant);
  return nested(ModelProtoSchema.field.graph.number, graph);
}

describe("a model's bytes", () => {
  it("decode to the graph they encode", () => {
    const graph = twoLayers();
    expect(withLoaded(decodeModel(encodeModelProto(graph)))).toEqual(withLoaded(graph));
  });

  it("are the same for the same graph", () => {
    expect(encodeModelProto(twoLayers())).toEqual(encodeModelProto(twoLayers()));
    expect(encodeModelProto(decodeModel(encodeModelProto(twoLayers())))).toEqual(
      encodeModelProto(twoLayers()),
    );
  });

  it("keep every kind of attribute", () => {
    const inner: Graph = { ...twoLayers(), opsets: {}, metadata: {} };
    const attributes = {
      int: { kind: "int", value: -(2n ** 63n) },
      float: { kind: "float", value: Math.fround(0.1) },
      string: { kind: "string", value: "äöü" },
      tensor: { kind: "tensor", value: float32([2], [1, 2]) },
      graph: { kind: "graph", value: inner },
      ints: { kind: "ints", value: [1n, -2n] },
      floats: { kind: "floats", value: [0.5, -3] },
      strings: { kind: "strings", value: ["a", ""] },
    } as const;
    const node = { name: "n", domain: "x", operator: "Y", inputs: ["x", ""], outputs: ["z"] };
    const graph: Graph = { ...inner, nodes: [{ ...node, attributes }], opsets: { "": 20, x: 1 } };
    const read = decodeModel(encodeModelProto(graph)).nodes[0]?.attributes;
    const { graph: readInner, ...plain } = read ?? {};
    const { graph: _, ...expected } = attributes;
    expect(plain).toEqual(expected);
    expect(readInner?.kind === "graph" && withLoaded(readInner.value)).toEqual(withLoaded(inner));
  });

  it("read numbers that are not packed, as older writers put them", () => {
    const unpacked = new BinaryWriter();
    for (const [number, value] of [
      [tensorField.dims.number, 2],
      [tensorField.dataType.number, 6],
      [tensorField.int32Data.number, -7],
      [tensorField.int32Data.number, 8],
    ] as const) {
      unpacked.tag(number, WireType.Varint).int32(value);
    }
    const [read] = decodeModel(modelWith(unpacked.finish())).initializers;
    expect(read?.load()).toEqual(Int32Array.of(-7, 8));
  });
});

describe("a model's files", () => {
  it("hold large constants beside the model, where ONNX Runtime finds them", async () => {
    const file = path.join(folder, "model.onnx");
    const written = await writeModel(twoLayers(), file);
    expect(written).toEqual([file, `${file}.data`]);
    expect((await stat(`${file}.data`)).size).toBe(64 * 512 * 4);
    expect((await stat(file)).size).toBeLessThan(10_000);
    expect(await runModel(file, feeds)).toEqual(await runGraph(twoLayers(), feeds));
  });

  it("decode with the data file at hand, and not without", async () => {
    const file = path.join(folder, "again.onnx");
    await writeModel(twoLayers(), file);
    const bytes = await readFile(file);
    const data = readFileSync(`${file}.data`);
    const graph = decodeModel(bytes, (location, offset, length) => {
      expect(location).toBe("again.onnx.data");
      return data.subarray(offset, offset + length);
    });
    expect(withLoaded(graph)).toEqual(withLoaded(twoLayers()));
    const lost = decodeModel(bytes).initializers.find(({ name }) => name === "large");
    expect(() => lost?.load()).toThrow(/was not given/);
  });

  it("are written in as many calls as it takes", async () => {
    const bytes = Uint8Array.from({ length: 1_000 }, (_, at) => at);
    const file = path.join(folder, "pieces");
    const handle = await open(file, "w");
    await writeBytes(handle, bytes, 10, 64);
    await handle.close();
    expect(new Uint8Array(await readFile(file))).toEqual(
      Uint8Array.of(...new Uint8Array(10), ...bytes),
    );
  });

  it("are not begun when the work is no longer wanted", async () => {
    const signal = AbortSignal.abort(new Error("not wanted"));
    const file = path.join(folder, "never.onnx");
    await expect(writeModel(twoLayers(), file, signal)).rejects.toThrow("not wanted");
  });
});

function isRefusedOrRead(hostile: Uint8Array): boolean {
  try {
    decodeModel(hostile);
    return true;
  } catch (error) {
    return error instanceof GraphError;
  }
}

describe("hostile bytes", () => {
  const bytes = encodeModelProto(twoLayers());
  const small = encodeModelProto({ ...twoLayers(), initializers: [] });

  it("are refused wherever they end", () => {
    for (let length = 1; length < small.length; length++) {
      expect(isRefusedOrRead(small.subarray(0, length))).toBe(true);
    }
  });

  it("are refused or read, never a crash, with any byte changed", () => {
    for (let at = 0; at < small.length; at++) {
      for (const flip of [1, 128, 255]) {
        const changed = small.slice();
        changed[at] = (changed[at] ?? 0) ^ flip;
        expect(isRefusedOrRead(changed)).toBe(true);
      }
    }
  });

  it("nest graphs without end", () => {
    let graph: Uint8Array = new Uint8Array();
    for (let depth = 0; depth < 2_000; depth++) {
      const attribute = new BinaryWriter()
        .tag(AttributeProtoSchema.field.g.number, WireType.LengthDelimited)
        .bytes(graph)
        .tag(AttributeProtoSchema.field.type.number, WireType.Varint)
        .int32(AttributeProto_AttributeType.GRAPH);
      const node = nested(NodeProtoSchema.field.attribute.number, attribute.finish());
      graph = nested(GraphProtoSchema.field.node.number, node);
    }
    const model = nested(ModelProtoSchema.field.graph.number, graph);
    expect(() => decodeModel(model)).toThrow(/no ONNX model: .* recursion depth/);
  });

  it("claim more elements than there are", () => {
    const huge = create(TensorProtoSchema, {
      name: "w",
      dims: [2n ** 40n],
      dataType: 1,
      rawData: bytes,
    });
    const model = modelWith(toBinary(TensorProtoSchema, huge));
    expect(() => decodeModel(model)).toThrow(/its shape needs/);
  });

  it("claim a longer field than there is", () => {
    const long = new BinaryWriter().tag(tensorField.rawData.number, WireType.LengthDelimited);
    expect(() => decodeModel(modelWith(long.uint32(2 ** 31).finish()))).toThrow(GraphError);
  });

  it("have an attribute that is no text", () => {
    const attribute = create(AttributeProtoSchema, {
      name: "mode",
      type: AttributeProto_AttributeType.STRING,
      s: Uint8Array.of(255),
    });
    const model = create(ModelProtoSchema, { graph: { node: [{ attribute: [attribute] }] } });
    expect(() => decodeModel(toBinary(ModelProtoSchema, model))).toThrow(/"mode" is not UTF-8/);
  });
});

describe("a decoded model", () => {
  it("verifies, and its types are those it was built with", () => {
    const types = verifyGraph(decodeModel(encodeModelProto(twoLayers())));
    expect(types.get("y")).toMatchObject({ dtype: "float32", shape: ["batch", 3] });
  });
});
