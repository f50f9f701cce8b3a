/**
 * The bytes of an ONNX model as a graph: ours, or any file whose values are tensors of the known element types.
 * Shapes of nodes' results are not read: inference gives them. Model functions and sparse constants are refused.
 */
import type { DType } from "../tensor/dtype.ts";
import { decodeInitializer, decodeTensor } from "./decode-tensor.ts";
import type { ReadExternal } from "./decode-tensor.ts";
import { dtypeOfCode } from "../tensor/element-type.ts";
import * as fields from "./fields.ts";
import { GraphError } from "./graph.ts";
import type { Attribute, AttributeKind, Graph, NamedType, Node } from "./graph.ts";
import { UNKNOWN } from "./symbolic-shape.ts";
import type { Dim } from "./symbolic-shape.ts";
import { WireMessage } from "./wire-reader.ts";

const refuseExternal: ReadExternal = (location) => {
  throw new GraphError(`the model's constants lie in "${location}", which was not given`);
};

/** Branches and loops hold graphs; a hostile file could nest them until the stack ends. */
const DEPTH_MAX = 32;

const attributeKinds = new Map<bigint, AttributeKind>([
  [1n, "float"],
  [2n, "int"],
  [3n, "string"],
  [4n, "tensor"],
  [5n, "graph"],
  [6n, "floats"],
  [7n, "ints"],
  [8n, "strings"],
]);

function required(message: WireMessage | null, what: string): WireMessage {
  if (message === null) throw new GraphError(`the model has no ${what}`);
  return message;
}

function decodeAttribute(message: WireMessage, depth: number): Attribute {
  const at = fields.attribute;
  const kind = attributeKinds.get(message.int(at.type));
  switch (kind) {
    case "int":
      return { kind, value: message.int(at.int) };
    case "float":
      return { kind, value: message.float(at.float) };
    case "string":
      return { kind, value: message.string(at.string) };
    case "tensor":
      return { kind, value: decodeTensor(required(message.message(at.tensor), "tensor")) };
    case "graph":
      return { kind, value: decodeInner(required(message.message(at.graph), "graph"), depth + 1) };
    case "ints":
      return { kind, value: message.ints(at.ints) };
    case "floats":
      return { kind, value: message.floats(at.floats) };
    case "strings":
      return { kind, value: message.strings(at.strings) };
    default:
      throw new GraphError(`attribute "${message.string(at.name)}" has an unknown type`);
  }
}

function decodeInner(message: WireMessage, depth: number): Graph {
  if (depth > DEPTH_MAX) throw new GraphError(`graphs are nested more than ${DEPTH_MAX} deep`);
  return decodeGraph(message, refuseExternal, depth);
}

function decodeNode(message: WireMessage, depth: number): Node {
  const attributes = message.messages(fields.node.attribute).map((attribute) => {
    return [attribute.string(fields.attribute.name), decodeAttribute(attribute, depth)] as const;
  });
  const domain = message.string(fields.node.domain);
  return {
    name: message.string(fields.node.name),
    domain: domain === "ai.onnx" ? "" : domain,
    operator: message.string(fields.node.operator),
    inputs: message.strings(fields.node.input),
    outputs: message.strings(fields.node.output),
    attributes: Object.fromEntries(attributes),
  };
}

function decodeDim(message: WireMessage): Dim {
  if (message.has(fields.dim.value)) return Number(message.int(fields.dim.value));
  const name = message.string(fields.dim.param);
  return name === "" ? UNKNOWN : name;
}

function elementType(message: WireMessage, name: string): DType {
  const code = Number(message.int(fields.tensorType.elementType));
  const dtype = dtypeOfCode(code);
  if (dtype === null) throw new GraphError(`"${name}" has the unknown element type ${code}`);
  return dtype;
}

function decodeValueInfo(message: WireMessage): NamedType {
  const name = message.string(fields.valueInfo.name);
  const type = message.message(fields.valueInfo.type)?.message(fields.type.tensor) ?? null;
  const tensor = required(type, `tensor type for "${name}"`);
  const dims = tensor.message(fields.tensorType.shape)?.messages(fields.shape.dim) ?? [];
  return { name, dtype: elementType(tensor, name), shape: dims.map(decodeDim) };
}

function decodeGraph(message: WireMessage, readExternal: ReadExternal, depth: number): Graph {
  if (message.has(fields.graph.sparseInitializer)) throw new GraphError("sparse constants");
  const initializers = message
    .messages(fields.graph.initializer)
    .map((initializer) => decodeInitializer(initializer, readExternal));
  const constants = new Set(initializers.map(({ name }) => name));
  const inputs = message.messages(fields.graph.input).map(decodeValueInfo);
  return {
    name: message.string(fields.graph.name),
    // Files older than IR version 4 list their constants among the inputs too.
    inputs: inputs.filter(({ name }) => !constants.has(name)),
    outputs: message.messages(fields.graph.output).map(decodeValueInfo),
    initializers,
    nodes: message.messages(fields.graph.node).map((node) => decodeNode(node, depth)),
    opsets: {},
    metadata: {},
  };
}

/** Throws `GraphError` on bytes that are no such model. `readExternal` reads constants that lie in another file. */
export function decodeModel(bytes: Uint8Array, readExternal: ReadExternal = refuseExternal): Graph {
  const message = new WireMessage(bytes);
  if (message.has(fields.model.functions)) throw new GraphError("model functions are not read");
  const opsets = message
    .messages(fields.model.opsetImport)
    .map((entry) => [entry.string(fields.opset.domain), entry.int(fields.opset.version)] as const)
    .map(([domain, version]) => [domain === "ai.onnx" ? "" : domain, Number(version)] as const);
  const metadata = message
    .messages(fields.model.metadata)
    .map((entry) => [entry.string(fields.entry.key), entry.string(fields.entry.value)] as const);
  return {
    ...decodeGraph(required(message.message(fields.model.graph), "graph"), readExternal, 0),
    opsets: Object.fromEntries(opsets),
    metadata: Object.fromEntries(metadata),
  };
}
