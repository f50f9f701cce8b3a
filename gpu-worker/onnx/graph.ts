/**
 * The graph: what the builder makes, the codec reads and writes, and autodiff walks. Plain immutable records.
 * A value is known by its name; nodes stand in an order in which they can run.
 */
import type { DType, TypedArray } from "../tensor/dtype.ts";
import type { Shape } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { SymbolicShape } from "./symbolic-shape.ts";

export type ValueType = { readonly dtype: DType; readonly shape: SymbolicShape };
export type NamedType = ValueType & { readonly name: string };

export type Attribute =
  | { readonly kind: "int"; readonly value: bigint }
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "tensor"; readonly value: Tensor }
  | { readonly kind: "graph"; readonly value: Graph }
  | { readonly kind: "ints"; readonly value: readonly bigint[] }
  | { readonly kind: "floats"; readonly value: readonly number[] }
  | { readonly kind: "strings"; readonly value: readonly string[] };

export type AttributeKind = Attribute["kind"];

export type Node = {
  readonly name: string;
  /** "" is the ONNX standard. */
  readonly domain: string;
  readonly operator: string;
  /** "" stands for an optional input that is absent. */
  readonly inputs: readonly string[];
  /** "" stands for an optional output that nobody asked for. */
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
};

/** A constant. `load` may read a file, so that a model larger than memory's share passes through tensor by tensor. */
export type Initializer = {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly load: () => TypedArray;
};

export type Graph = {
  readonly name: string;
  readonly inputs: readonly NamedType[];
  readonly outputs: readonly NamedType[];
  readonly initializers: readonly Initializer[];
  readonly nodes: readonly Node[];
  /** Domain → version of its operator set. */
  readonly opsets: Readonly<Record<string, number>>;
  /** Free text for whoever opens the file. */
  readonly metadata: Readonly<Record<string, string>>;
};

/** Names of the values that a node reads, in graphs within it too. */
export function readsOf(node: Node): readonly string[] {
  const inside = Object.values(node.attributes).flatMap((attribute) =>
    attribute.kind === "graph" ? attribute.value.nodes.flatMap(readsOf) : [],
  );
  return [...node.inputs, ...inside];
}

/** A graph that is not valid: the message names the node, the value and what was expected. */
export class GraphError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "GraphError";
  }
}
