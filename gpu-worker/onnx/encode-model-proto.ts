/**
 * A graph as the bytes of an ONNX model (IR version 10). Constants go inline, or, where `externalDataOf` says so, by
 * reference into an external data file that write-model.ts lays out. Equal graphs give equal bytes.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { codeOfDtype } from "../tensor/element-type.ts";
import { bytesOf } from "../tensor/tensor.ts";
import type { ExternalDataOf, ExternalData } from "./external-data.ts";
import type { Attribute, Graph, Initializer, NamedType, Node } from "./graph.ts";
import {
  AttributeProto_AttributeType as AttributeType,
  ModelProtoSchema,
  TensorProto_DataLocation as DataLocation,
} from "./proto/onnx_pb.js";
import type {
  AttributeProtoSchema,
  GraphProtoSchema,
  NodeProtoSchema,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  ValueInfoProtoSchema,
} from "./proto/onnx_pb.js";
import { unknownDim } from "./symbolic-shape.ts";
import type { Dim } from "./symbolic-shape.ts";

const irVersion = 10n;

const inline: ExternalDataOf = () => null;
const utf8 = new TextEncoder();

function entriesOf(record: Readonly<Record<string, string | number>>) {
  return Object.entries(record).map(([key, value]) => ({ key, value: String(value) }));
}

function tensorHeader({ dtype, shape }: Pick<Initializer, "dtype" | "shape">) {
  return { dims: shape.map(BigInt), dataType: codeOfDtype(dtype) };
}

function toTensor(
  initializer: Initializer,
  external: ExternalData | null,
): MessageInitShape<typeof TensorProtoSchema> {
  const header = { ...tensorHeader(initializer), name: initializer.name };
  if (external === null) return { ...header, rawData: bytesOf(initializer.load()) };
  return { ...header, externalData: entriesOf(external), dataLocation: DataLocation.EXTERNAL };
}

function toAttribute(
  name: string,
  { kind, value }: Attribute,
): MessageInitShape<typeof AttributeProtoSchema> {
  switch (kind) {
    case "int":
      return { name, type: AttributeType.INT, i: value };
    case "float":
      return { name, type: AttributeType.FLOAT, f: value };
    case "string":
      return { name, type: AttributeType.STRING, s: utf8.encode(value) };
    case "tensor": {
      const t = { ...tensorHeader(value), rawData: bytesOf(value.data) };
      return { name, type: AttributeType.TENSOR, t };
    }
    case "graph":
      return { name, type: AttributeType.GRAPH, g: toGraph(value, inline) };
    case "ints":
      return { name, type: AttributeType.INTS, ints: [...value] };
    case "floats":
      return { name, type: AttributeType.FLOATS, floats: [...value] };
    case "strings": {
      const strings = value.map((text) => utf8.encode(text));
      return { name, type: AttributeType.STRINGS, strings };
    }
  }
}

function toNode(node: Node): MessageInitShape<typeof NodeProtoSchema> {
  return {
    name: node.name,
    opType: node.operator,
    input: [...node.inputs],
    output: [...node.outputs],
    attribute: Object.entries(node.attributes).map(([name, value]) => toAttribute(name, value)),
    ...(node.domain !== "" && { domain: node.domain }),
  };
}

function toDimension(length: Dim): MessageInitShape<typeof TensorShapeProto_DimensionSchema> {
  if (length === unknownDim) return {};
  return typeof length === "number"
    ? { value: { case: "dimValue", value: BigInt(length) } }
    : { value: { case: "dimParam", value: length } };
}

function toValueInfo({
  name,
  dtype,
  shape,
}: NamedType): MessageInitShape<typeof ValueInfoProtoSchema> {
  const value = { elemType: codeOfDtype(dtype), shape: { dim: shape.map(toDimension) } };
  return { name, type: { value: { case: "tensorType", value } } };
}

function toGraph(
  graph: Graph,
  externalDataOf: ExternalDataOf,
): MessageInitShape<typeof GraphProtoSchema> {
  return {
    name: graph.name,
    node: graph.nodes.map(toNode),
    initializer: graph.initializers.map((initializer) =>
      toTensor(initializer, externalDataOf(initializer)),
    ),
    input: graph.inputs.map(toValueInfo),
    output: graph.outputs.map(toValueInfo),
  };
}

export function encodeModelProto(
  graph: Graph,
  externalDataOf: ExternalDataOf = inline,
): Uint8Array {
  const opsets = Object.entries(graph.opsets);
  const model = create(ModelProtoSchema, {
    irVersion,
    producerName: "llm-os",
    graph: toGraph(graph, externalDataOf),
    opsetImport: opsets.map(([domain, version]) => ({ domain, version: BigInt(version) })),
    metadataProps: entriesOf(graph.metadata),
  });
  return toBinary(ModelProtoSchema, model);
}
