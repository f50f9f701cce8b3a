/**
 * A value of a graph under construction: its name, its type, and the operators that can follow it, so that a model
 * reads as a chain: `x.matMul(w).add(b).softmax(-1)`. A plain number stands for a scalar of the value's dtype.
 */
import type { DType } from "../tensor/dtype.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Graph } from "./graph.ts";
import type { Inferred } from "./operator.ts";
import type { OperatorName } from "./operators.ts";
import type { SymbolicShape } from "./symbolic-shape.ts";

export type AttributeInput =
  | number
  | string
  | Tensor
  | Graph
  | readonly number[]
  | readonly string[]
  | readonly bigint[];
export type AttributeInputs = Readonly<Record<string, AttributeInput>>;

/** An input of a node: null where an optional one is absent. */
export type Input = Value | null;
export type Operand = Value | number;

/** What a value needs of its builder. */
export type Emitter = {
  op(name: OperatorName, inputs: readonly Input[], attributes?: AttributeInputs): Value;
  scalar(dtype: DType, value: number): Value;
  integers(values: readonly number[]): Value;
  dtypeCode(dtype: DType): number;
};

export class Value {
  readonly name: string;
  readonly type: Inferred;
  readonly #graph: Emitter;

  constructor(graph: Emitter, name: string, type: Inferred) {
    this.#graph = graph;
    this.name = name;
    this.type = type;
  }

  get dtype(): DType {
    return this.type.dtype;
  }

  get shape(): SymbolicShape {
    return this.type.shape;
  }

  /** This value as first input of any operator. */
  op(name: OperatorName, others: readonly Input[] = [], attributes: AttributeInputs = {}): Value {
    return this.#graph.op(name, [this, ...others], attributes);
  }

  add(other: Operand): Value {
    return this.op("Add", [this.#operand(other)]);
  }

  sub(other: Operand): Value {
    return this.op("Sub", [this.#operand(other)]);
  }

  mul(other: Operand): Value {
    return this.op("Mul", [this.#operand(other)]);
  }

  div(other: Operand): Value {
    return this.op("Div", [this.#operand(other)]);
  }

  max(other: Operand): Value {
    return this.op("Max", [this.#operand(other)]);
  }

  matMul(other: Value): Value {
    return this.op("MatMul", [other]);
  }

  neg(): Value {
    return this.op("Neg");
  }

  sqrt(): Value {
    return this.op("Sqrt");
  }

  tanh(): Value {
    return this.op("Tanh");
  }

  softmax(axis: number): Value {
    return this.op("Softmax", [], { axis });
  }

  cast(dtype: DType): Value {
    return this.dtype === dtype ? this : this.op("Cast", [], { to: this.#graph.dtypeCode(dtype) });
  }

  /** 0 copies the axis, −1 takes what is left. */
  reshape(shape: readonly number[]): Value {
    return this.op("Reshape", [this.#graph.integers(shape)]);
  }

  transpose(perm: readonly number[]): Value {
    return this.op("Transpose", [], { perm });
  }

  unsqueeze(axes: readonly number[]): Value {
    return this.op("Unsqueeze", [this.#graph.integers(axes)]);
  }

  squeeze(axes: readonly number[]): Value {
    return this.op("Squeeze", [this.#graph.integers(axes)]);
  }

  /** Elements of this value at `indices` along `axis`. */
  gather(indices: Value, axis: number): Value {
    return this.op("Gather", [indices], { axis });
  }

  slice(axis: number, start: number, end: number): Value {
    const at = [[start], [end], [axis]].map((values) => this.#graph.integers(values));
    return this.op("Slice", at);
  }

  sum(axes: readonly number[], keepdims: boolean): Value {
    return this.#reduce("ReduceSum", axes, keepdims);
  }

  reduceMax(axes: readonly number[], keepdims: boolean): Value {
    return this.#reduce("ReduceMax", axes, keepdims);
  }

  reduceMin(axes: readonly number[], keepdims: boolean): Value {
    return this.#reduce("ReduceMin", axes, keepdims);
  }

  l2(axes: readonly number[], keepdims: boolean): Value {
    return this.#reduce("ReduceL2", axes, keepdims);
  }

  #reduce(name: OperatorName, axes: readonly number[], keepdims: boolean): Value {
    return this.op(name, [this.#graph.integers(axes)], { keepdims: keepdims ? 1 : 0 });
  }

  #operand(other: Operand): Value {
    return typeof other === "number" ? this.#graph.scalar(this.dtype, other) : other;
  }
}
