/**
 * The bytes of an ONNX model as a graph: ours, or any file whose values are tensors of the known element types.
 * Shapes of nodes' results are not read: inference gives them. Model functions and sparse constants are refused.
 */
import { fromBinary } from "@bufbuild/protobuf";
import { decodeDtype, decodeInitializer, decodeTensor } from "./decode-tensor.ts";
import type { ReadExternal } from "./decode-tensor.ts";
import { GraphError } from "./graph.ts";
import type { Attribute, Graph, NamedType, Node } from "./graph.ts";
import {
  AttributeProto_AttributeType as AttributeType,
  ModelProtoSchema,
} from "./proto/onnx_pb.js";
import type {
  AttributeProto,
  GraphProto,
  ModelProto,
  NodeProto,
  TensorShapeProto_Dimension,
  ValueInfoProto,
} from "./proto/onnx_pb.js";
import { unknownDim } from "./symbolic-shape.ts";
import type { Dim } from "./symbolic-shape.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });

const refuseExternal: ReadExternal = (location) => {
  throw new GraphError(`the model's constants lie in "${location}", which was not given`);
};

/** Branches and loops hold graphs: messages nested deeper than this are refused, before the stack ends. */
const depthMax = 100;

function parse(bytes: Uint8Array): ModelProto {
  try {
    return fromBinary(ModelProtoSchema, bytes, {
      readUnknownFields: false,
      recursionLimit: depthMax,
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new GraphError(`the bytes are no ONNX model: ${reason}`, { cause: error });
  }
}

function required<T>(message: T | undefined, what: string): T {
  if (message === undefined) throw new GraphError(`the model has no ${what}`);
  return message;
}

/** "" is how graphs of ours name the standard's domain. */
function domainOf(domain: string): string {
  return domain === "ai.onnx" ? "" : domain;
}

function textOf(bytes: Uint8Array, attribute: string): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new GraphError(`attribute "${attribute}" is not UTF-8`);
  }
}

function decodeAttribute(message: AttributeProto): Attribute {
  switch (message.type) {
    case AttributeType.INT:
      return { kind: "int", value: message.i };
    case AttributeType.FLOAT:
      return { kind: "float", value: message.f };
    case AttributeType.STRING:
      return { kind: "string", value: textOf(message.s, message.name) };
    case AttributeType.TENSOR:
      return { kind: "tensor", value: decodeTensor(required(message.t, "tensor")) };
    case AttributeType.GRAPH:
      return { kind: "graph", value: decodeGraph(required(message.g, "graph"), refuseExternal) };
    case AttributeType.INTS:
      return { kind: "ints", value: message.ints };
    case AttributeType.FLOATS:
      return { kind: "floats", value: message.floats };
    case AttributeType.STRINGS:
      return { kind: "strings", value: message.strings.map((text) => textOf(text, message.name)) };
    default:
      throw new GraphError(`attribute "${message.name}" has an unknown type`);
  }
}

function decodeNode({ name, domain, opType, input, output, attribute }: NodeProto): Node {
  const attributes = attribute.map((entry) => [entry.name, decodeAttribute(entry)] as const);
  return {
    name,
    domain: domainOf(domain),
    operator: opType,
    inputs: input,
    outputs: output,
    attributes: Object.fromEntries(attributes),
  };
}

function decodeDim({ value }: TensorShapeProto_Dimension): Dim {
  if (value.case === "dimValue") return Number(value.value);
  return value.value || unknownDim;
}

function decodeValueInfo({ name, type }: ValueInfoProto): NamedType {
  const tensor = type?.value.case === "tensorType" ? type.value.value : undefined;
  const { elemType, shape } = required(tensor, `tensor type for "${name}"`);
  return { name, dtype: decodeDtype(elemType, name), shape: (shape?.dim ?? []).map(decodeDim) };
}

function decodeGraph(message: GraphProto, readExternal: ReadExternal): Graph {
  if (message.sparseInitializer.length > 0) throw new GraphError("sparse constants are not read");
  const constants = new Set(message.initializer.map(({ name }) => name));
  return {
    name: message.name,
    // Files older than IR version 4 list their constants among the inputs too.
    inputs: message.input.filter(({ name }) => !constants.has(name)).map(decodeValueInfo),
    outputs: message.output.map(decodeValueInfo),
    initializers: message.initializer.map((tensor) => decodeInitializer(tensor, readExternal)),
    nodes: message.node.map(decodeNode),
    opsets: {},
    metadata: {},
  };
}

/** Throws `GraphError` on bytes that are no such model. `readExternal` reads constants that lie in another file. */
export function decodeModel(bytes: Uint8Array, readExternal: ReadExternal = refuseExternal): Graph {
  const { graph, functions, opsetImport, metadataProps } = parse(bytes);
  if (functions.length > 0) throw new GraphError("model functions are not read");
  const opsets = opsetImport.map(
    ({ domain, version }) => [domainOf(domain), Number(version)] as const,
  );
  return {
    ...decodeGraph(required(graph, "graph"), readExternal),
    opsets: Object.fromEntries(opsets),
    metadata: Object.fromEntries(metadataProps.map(({ key, value }) => [key, value])),
  };
}
