/**
 * What a row of the operator table says, and the view of one node that its rule reads: input types, attributes,
 * and the elements of small integer inputs (shapes, axes) where they are known.
 */
import type { DType } from "../tensor/dtype.ts";
import { GraphError } from "./graph.ts";
import type { Attribute, AttributeKind, Graph, Node, ValueType } from "./graph.ts";
import type { Dim } from "./symbolic-shape.ts";

/** The type of a value while a graph is built; `elements` are those of a small integer tensor, where known. */
export type Inferred = ValueType & { readonly elements?: readonly Dim[] };

/** Least and most. */
export type Arity = readonly [number, number];

export type Operator = {
  readonly inputs: Arity;
  /** [1, 1] if absent. */
  readonly outputs?: Arity;
  readonly attributes?: Readonly<Record<string, AttributeKind>>;
  /** One type per output, optional ones included. */
  readonly infer: (node: NodeView) => Inferred | readonly Inferred[];
};

export type OperatorRows = Readonly<Record<string, Operator>>;

export class NodeView {
  readonly node: Node;
  readonly #types: readonly (Inferred | null)[];

  constructor(node: Node, types: readonly (Inferred | null)[]) {
    this.node = node;
    this.#types = types;
  }

  get inputs(): readonly Inferred[] {
    return this.#types.filter((type) => type !== null);
  }

  input(index: number): Inferred {
    return this.#types[index] ?? this.fail(`input ${index} is missing`);
  }

  optional(index: number): Inferred | null {
    return this.#types[index] ?? null;
  }

  /** The input, which must have one of `dtypes`. */
  expect(index: number, dtypes: readonly DType[]): Inferred {
    const type = this.input(index);
    if (!dtypes.includes(type.dtype)) {
      this.fail(`input ${index} is ${type.dtype}, expected ${dtypes.join(" or ")}`);
    }
    return type;
  }

  /** All inputs that are there must have the dtype of the first. */
  expectOneDtype(indices: readonly number[]): DType {
    const types = indices.flatMap((index) => this.optional(index)?.dtype ?? []);
    const first = types[0] ?? this.fail("no inputs");
    if (types.some((dtype) => dtype !== first)) this.fail(`inputs mix ${types.join(" and ")}`);
    return first;
  }

  expectRank(index: number, rank: number): Inferred {
    const type = this.input(index);
    if (type.shape.length !== rank) {
      this.fail(`input ${index} has ${type.shape.length} dimensions, expected ${rank}`);
    }
    return type;
  }

  /** Elements of an integer input; null if they are known only at run time. */
  elements(index: number): readonly Dim[] | null {
    return this.optional(index)?.elements ?? null;
  }

  /** The same, where a rule cannot go on without numbers. */
  numbers(index: number): readonly number[] {
    const elements = this.elements(index) ?? this.fail(`input ${index} must be constant`);
    return elements.map((element) =>
      typeof element === "number" ? element : this.fail(`input ${index} must be constant`),
    );
  }

  attribute(name: string): Attribute | undefined {
    return this.node.attributes[name];
  }

  int(name: string, fallback: number): number {
    const attribute = this.attribute(name);
    return attribute?.kind === "int" ? Number(attribute.value) : fallback;
  }

  graph(name: string): Graph {
    const attribute = this.attribute(name);
    return attribute?.kind === "graph" ? attribute.value : this.fail(`it has no graph ${name}`);
  }

  ints(name: string): readonly number[] | null {
    const attribute = this.attribute(name);
    return attribute?.kind === "ints" ? attribute.value.map(Number) : null;
  }

  /** `axis` counted from the front, checked against `rank`. */
  axis(axis: number, rank: number): number {
    const counted = axis < 0 ? axis + rank : axis;
    if (counted < 0 || counted >= rank) this.fail(`axis ${axis} is outside of ${rank} dimensions`);
    return counted;
  }

  fail(message: string): never {
    throw new GraphError(`${this.node.operator} "${this.node.name}": ${message}`);
  }
}
