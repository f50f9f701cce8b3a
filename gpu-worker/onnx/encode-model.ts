/**
 * A graph as the bytes of an ONNX model (IR version 10). Constants go inline, or, where `place` says so, by reference
 * into an external data file that write-model.ts lays out. Equal graphs give equal bytes.
 */
import { bytesOf } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { codeOfDtype } from "../tensor/element-type.ts";
import * as fields from "./fields.ts";
import type { Attribute, Graph, Initializer, NamedType, Node } from "./graph.ts";
import { UNKNOWN } from "./symbolic-shape.ts";
import { WireWriter } from "./wire-writer.ts";

const IR_VERSION = 10;

/** Bytes `offset` … `offset + length` of the file `location`, which lies beside the model. */
export type ExternalPlace = {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
};

/** Where a constant's bytes lie; null for inline. */
export type Placement = (initializer: Initializer) => ExternalPlace | null;

const inline: Placement = () => null;

function encodeEntry(key: string, value: string): WireWriter {
  return new WireWriter().string(fields.entry.key, key).string(fields.entry.value, value);
}

function tensorHeader(name: string, { dtype, shape }: Pick<Initializer, "dtype" | "shape">) {
  const writer = new WireWriter();
  for (const length of shape) writer.int(fields.tensor.dims, length);
  writer.int(fields.tensor.dataType, codeOfDtype(dtype));
  return name === "" ? writer : writer.string(fields.tensor.name, name);
}

function encodeInitializer(initializer: Initializer, place: ExternalPlace | null): WireWriter {
  const writer = tensorHeader(initializer.name, initializer);
  if (place === null) return writer.bytes(fields.tensor.rawData, bytesOf(initializer.load()));
  const { location, offset, length } = place;
  for (const [key, value] of Object.entries({ location, offset, length })) {
    writer.message(fields.tensor.externalData, encodeEntry(key, String(value)));
  }
  return writer.int(fields.tensor.dataLocation, fields.EXTERNAL);
}

function encodeTensor(tensor: Tensor): WireWriter {
  return tensorHeader("", tensor).bytes(fields.tensor.rawData, bytesOf(tensor.data));
}

function encodeAttribute(name: string, attribute: Attribute): WireWriter {
  const at = fields.attribute;
  const writer = new WireWriter().string(at.name, name);
  writer.int(at.type, fields.attributeType[attribute.kind]);
  switch (attribute.kind) {
    case "int":
      return writer.int(at.int, attribute.value);
    case "float":
      return writer.float(at.float, attribute.value);
    case "string":
      return writer.string(at.string, attribute.value);
    case "tensor":
      return writer.message(at.tensor, encodeTensor(attribute.value));
    case "graph":
      return writer.message(at.graph, encodeGraph(attribute.value, inline));
    case "ints":
      for (const value of attribute.value) writer.int(at.ints, value);
      return writer;
    case "floats":
      for (const value of attribute.value) writer.float(at.floats, value);
      return writer;
    case "strings":
      for (const value of attribute.value) writer.string(at.strings, value);
      return writer;
  }
}

function encodeNode(node: Node): WireWriter {
  const writer = new WireWriter();
  for (const input of node.inputs) writer.string(fields.node.input, input);
  for (const output of node.outputs) writer.string(fields.node.output, output);
  writer.string(fields.node.name, node.name).string(fields.node.operator, node.operator);
  for (const [name, attribute] of Object.entries(node.attributes)) {
    writer.message(fields.node.attribute, encodeAttribute(name, attribute));
  }
  return node.domain === "" ? writer : writer.string(fields.node.domain, node.domain);
}

function encodeValueInfo({ name, dtype, shape }: NamedType): WireWriter {
  const dims = new WireWriter();
  for (const length of shape) {
    const dim = new WireWriter();
    if (typeof length === "number") dim.int(fields.dim.value, length);
    else if (length !== UNKNOWN) dim.string(fields.dim.param, length);
    dims.message(fields.shape.dim, dim);
  }
  const tensorType = new WireWriter()
    .int(fields.tensorType.elementType, codeOfDtype(dtype))
    .message(fields.tensorType.shape, dims);
  const type = new WireWriter().message(fields.type.tensor, tensorType);
  return new WireWriter().string(fields.valueInfo.name, name).message(fields.valueInfo.type, type);
}

function encodeGraph(graph: Graph, place: Placement): WireWriter {
  const writer = new WireWriter();
  for (const node of graph.nodes) writer.message(fields.graph.node, encodeNode(node));
  writer.string(fields.graph.name, graph.name);
  for (const initializer of graph.initializers) {
    const encoded = encodeInitializer(initializer, place(initializer));
    writer.message(fields.graph.initializer, encoded);
  }
  for (const input of graph.inputs) writer.message(fields.graph.input, encodeValueInfo(input));
  for (const output of graph.outputs) writer.message(fields.graph.output, encodeValueInfo(output));
  return writer;
}

export function encodeModel(graph: Graph, place: Placement = inline): Uint8Array {
  const writer = new WireWriter()
    .int(fields.model.irVersion, IR_VERSION)
    .string(fields.model.producerName, "llm-os")
    .message(fields.model.graph, encodeGraph(graph, place));
  for (const [domain, version] of Object.entries(graph.opsets)) {
    const opset = new WireWriter().string(fields.opset.domain, domain);
    writer.message(fields.model.opsetImport, opset.int(fields.opset.version, version));
  }
  for (const [key, value] of Object.entries(graph.metadata)) {
    writer.message(fields.model.metadata, encodeEntry(key, value));
  }
  return writer.finish();
}
