/**
 * ONNX files of one product, `x · w` with constant weights, for the self-test and the calibration probes.
 * Writes just the fields they need (onnx.proto3): graphs in general are the onnx room's, which this one may not import.
 */
import { bytesOf } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";

export type Product = {
  operator: "MatMul" | "MatMulInteger";
  /** `[inner, columns]` */
  weights: Tensor<"float32"> | Tensor<"int8">;
  /** `shape` gives only the result's shape: the product is computed, and nothing of it has to be copied. */
  output: "value" | "shape";
};

/** TensorProto.DataType. */
const elementTypes = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7 } as const;

/** Reads `x` `[rows, inner]`, float32 or (MatMulInteger) uint8; gives `y` `[rows, columns]`, or its shape. */
export function encodeProduct({ operator, weights, output }: Product): Uint8Array {
  const [inner = 0, columns = 0] = weights.shape;
  const integer = operator === "MatMulInteger";
  const x = valueInfo("x", integer ? "uint8" : "float32", ["rows", inner]);
  const y =
    output === "shape"
      ? valueInfo("y", "int64", [2])
      : valueInfo("y", integer ? "int32" : "float32", ["rows", columns]);
  const nodes =
    output === "shape"
      ? [node(operator, ["x", "w"], "product"), node("Shape", ["product"], "y")]
      : [node(operator, ["x", "w"], "y")];
  const graph = [
    ...nodes.map((bytes) => field(1, bytes)),
    field(2, text("probe")),
    field(5, constant("w", weights)),
    field(11, x),
    field(12, y),
  ];
  const irVersion = number(1, 8);
  const operatorSet = field(8, number(2, 17));
  return join([irVersion, operatorSet, field(7, join(graph))]);
}

function node(operator: string, inputs: string[], output: string): Uint8Array {
  const names = inputs.map((name) => field(1, text(name)));
  return join([...names, field(2, text(output)), field(4, text(operator))]);
}

function constant(name: string, value: Product["weights"]): Uint8Array {
  const dimensions = value.shape.map((size) => number(1, size));
  const type = number(2, elementTypes[value.dtype]);
  return join([...dimensions, type, field(8, text(name)), field(9, bytesOf(value.data))]);
}

function valueInfo(
  name: string,
  dtype: keyof typeof elementTypes,
  shape: (number | string)[],
): Uint8Array {
  const dimensions = shape.map((size) =>
    field(1, typeof size === "number" ? number(1, size) : field(2, text(size))),
  );
  const type = join([number(1, elementTypes[dtype]), field(2, join(dimensions))]);
  return join([field(1, text(name)), field(2, field(1, type))]);
}

/** A length-delimited protobuf field. */
function field(id: number, bytes: Uint8Array): Uint8Array {
  return join([varint(id * 8 + 2), varint(bytes.length), bytes]);
}

/** A protobuf field that holds a whole number. */
function number(id: number, value: number): Uint8Array {
  return join([varint(id * 8), varint(value)]);
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) + 0x80);
    rest = Math.floor(rest / 0x80);
  }
  return Uint8Array.from([...bytes, rest]);
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
