/**
 * Builds a graph node by node. Each node's result types are inferred, and its inputs checked, the moment it is added:
 * a mistake fails at the line that made it. Names come from the scope and the operator, so equal calls make equal
 * bytes.
 */
import type { DType } from "../tensor/dtype.ts";
import { scalar } from "../tensor/scalar.ts";
import { tensor } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { toAttribute } from "./attribute.ts";
import { codeOfDtype } from "../tensor/element-type.ts";
import { GraphError } from "./graph.ts";
import type { Attribute, Graph, Initializer, NamedType, Node, ValueType } from "./graph.ts";
import { inferNode } from "./infer-node.ts";
import type { Inferred } from "./operator.ts";
import { findOperator, splitOperatorName } from "./operators.ts";
import type { OperatorName } from "./operators.ts";
import type { SymbolicShape } from "./symbolic-shape.ts";
import { Value } from "./value.ts";
import type { AttributeInputs, Emitter, Input } from "./value.ts";
import { expectOutput, initializerType, smallElementsMax } from "./verify-graph.ts";

/** ONNX 1.16, the first to round by blocks: read by every ONNX Runtime since 1.18. */
const standardOpset = 21;
const builtOpsets = { "": standardOpset, "com.microsoft": 1 } as const;

function expectOpsets({ name, opsets }: Graph): void {
  const built: Readonly<Record<string, number>> = builtOpsets;
  for (const [domain, version] of Object.entries(opsets)) {
    if (built[domain] === version) continue;
    const known = built[domain] === undefined ? "none" : `version ${built[domain]}`;
    const set = domain === "" ? "the standard operators" : domain;
    throw new GraphError(`graph "${name}" uses version ${version} of ${set}, the builder ${known}`);
  }
}

function collectNames(graph: Graph, names: Set<string>): void {
  names.add(graph.name);
  for (const { name } of [...graph.inputs, ...graph.initializers]) names.add(name);
  for (const { outputs, attributes } of graph.nodes) {
    for (const name of outputs) names.add(name);
    for (const attribute of Object.values(attributes)) {
      if (attribute.kind === "graph") collectNames(attribute.value, names);
    }
  }
}

export class GraphBuilder implements Emitter {
  readonly #name: string;
  readonly #metadata: Readonly<Record<string, string>>;
  readonly #inputs: NamedType[] = [];
  readonly #outputs: NamedType[] = [];
  readonly #initializers: Initializer[] = [];
  readonly #nodes: Node[] = [];
  readonly #types = new Map<string, Inferred>();
  readonly #shared = new Map<string, Value>();
  readonly #scopes: string[] = [];
  readonly #counts = new Map<string, number>();
  /** Names in graphs of nodes of this one, which a new value may not have either. */
  readonly #nested = new Set<string>();
  readonly #around: GraphBuilder | null;

  /** @param around the graph whose node will run this one */
  constructor(
    name: string,
    metadata: Readonly<Record<string, string>> = {},
    around: GraphBuilder | null = null,
  ) {
    this.#name = name;
    this.#metadata = metadata;
    this.#around = around;
    // Names are unique over a graph and all graphs inside it.
    if (around !== null) this.#scopes.push(name);
  }

  /**
   * Goes on from a graph, whose outputs stay. Its nodes are checked as if they were added here.
   * @throws GraphError for a graph that is not valid, or of other operator sets than the builder's
   */
  static from(graph: Graph): GraphBuilder {
    expectOpsets(graph);
    const builder = new GraphBuilder(graph.name, graph.metadata);
    for (const { name, dtype, shape } of graph.inputs) builder.input(name, dtype, shape);
    for (const initializer of graph.initializers) builder.#adopt(initializer);
    for (const node of graph.nodes) builder.#append(node);
    for (const output of graph.outputs) {
      expectOutput(output, builder.#types.get(output.name));
      builder.#outputs.push(output);
    }
    return builder;
  }

  /** @throws GraphError where nothing has that name */
  value(name: string): Value {
    const type = this.#types.get(name);
    if (type === undefined) throw new GraphError(`nothing is named "${name}"`);
    return new Value(this, name, type);
  }

  /**
   * A graph for an attribute of a node of this one. Values of this graph are used in it through `outer`.
   * @param build gives its outputs, each the result of an operator in it
   */
  body(
    label: string,
    inputs: readonly ValueType[],
    build: (inner: GraphBuilder, given: readonly Value[]) => readonly Value[],
  ): Graph {
    const inner = new GraphBuilder(this.#fresh(label), {}, this);
    const given = inputs.map(({ dtype, shape }) =>
      inner.input(inner.#fresh("input"), dtype, shape),
    );
    for (const { name, dtype, shape } of build(inner, given)) {
      inner.#outputs.push({ name, dtype, shape });
    }
    return inner.build();
  }

  /** A value of this graph or of one around it, for operators of this one. */
  outer({ name, type }: Value): Value {
    return new Value(this, name, type);
  }

  input(name: string, dtype: DType, shape: SymbolicShape): Value {
    this.#inputs.push({ name, dtype, shape });
    return this.#declare(name, { dtype, shape });
  }

  output(name: string, value: Value): void {
    const known = this.#types.get(value.name);
    if (known === undefined)
      throw new GraphError(`output "${name}": the value is of another graph`);
    const { dtype, shape } = known;
    if (value.name !== name) this.#emit("Identity", [value], {}, [name]);
    this.#outputs.push({ name, dtype, shape });
  }

  /** A large constant, loaded when the graph is written. */
  initializer(initializer: Initializer): Value {
    const { name, dtype, shape } = initializer;
    this.#initializers.push(initializer);
    return this.#declare(name, { dtype, shape });
  }

  /** A constant from memory; equal small ones are kept once. */
  constant(value: Tensor, name?: string): Value {
    const small = value.data.length <= smallElementsMax;
    const key = `${value.dtype} ${value.shape.join("x")} ${small ? value.data.join() : ""}`;
    const known = small && name === undefined ? this.#shared.get(key) : undefined;
    if (known) return known;
    const { dtype, shape, data } = value;
    const initializer = { name: name ?? this.#fresh("constant"), dtype, shape, load: () => data };
    this.#initializers.push(initializer);
    const made = this.#declare(initializer.name, initializerType(initializer));
    if (small && name === undefined) this.#shared.set(key, made);
    return made;
  }

  scalar(dtype: DType, value: number): Value {
    return this.constant(scalar(dtype, value));
  }

  integers(values: readonly number[]): Value {
    return this.constant(tensor("int64", [values.length], BigInt64Array.from(values, BigInt)));
  }

  dtypeCode(dtype: DType): number {
    return codeOfDtype(dtype);
  }

  /** Names of what `build` adds begin with `name/`. */
  scope<T>(name: string, build: () => T): T {
    this.#scopes.push(name);
    try {
      return build();
    } finally {
      this.#scopes.pop();
    }
  }

  /** `name`, or `name` with a number where it is taken. */
  uniqueName(name: string): string {
    return this.#types.has(name) ? this.#numbered(name) : name;
  }

  op(name: OperatorName, inputs: readonly Input[], attributes: AttributeInputs = {}): Value {
    const [value] = this.ops(name, inputs, attributes, 1);
    if (value === undefined) throw new GraphError(`${name} has no output`);
    return value;
  }

  /** A node of which the first `outputs` outputs are wanted. */
  ops(
    name: OperatorName,
    inputs: readonly Input[],
    attributes: AttributeInputs,
    outputs: number,
  ): Value[] {
    const base = this.#fresh(splitOperatorName(name).operator);
    const names = Array.from({ length: outputs }, (_, i) => (i === 0 ? base : `${base}:${i}`));
    return this.#emit(name, inputs, attributes, names);
  }

  /** A node like `node`, on other inputs. */
  again(node: Node, inputs: readonly Input[]): Value[] {
    const base = this.#fresh(node.operator);
    const outputs = node.outputs.map((name, i) =>
      name === "" ? "" : i === 0 ? base : `${base}:${i}`,
    );
    const names = inputs.map((input) => input?.name ?? "");
    return this.#append({ ...node, name: base, inputs: names, outputs });
  }

  build(): Graph {
    if (this.#outputs.length === 0) throw new GraphError(`graph "${this.#name}" has no output`);
    return {
      name: this.#name,
      inputs: [...this.#inputs],
      outputs: [...this.#outputs],
      initializers: [...this.#initializers],
      nodes: [...this.#nodes],
      opsets: builtOpsets,
      metadata: this.#metadata,
    };
  }

  #emit(
    name: OperatorName,
    inputs: readonly Input[],
    attributes: AttributeInputs,
    outputs: readonly string[],
  ): Value[] {
    const { domain, operator } = splitOperatorName(name);
    const last = inputs.findLastIndex((input) => input !== null);
    const node: Node = {
      name: outputs[0] ?? name,
      domain,
      operator,
      inputs: inputs.slice(0, last + 1).map((input) => input?.name ?? ""),
      outputs,
      attributes: this.#attributes(name, attributes),
    };
    return this.#append(node);
  }

  #append(node: Node): Value[] {
    const types = inferNode(node, (value) => this.#typeOf(value));
    this.#nodes.push(node);
    for (const attribute of Object.values(node.attributes)) {
      if (attribute.kind === "graph") collectNames(attribute.value, this.#nested);
    }
    return types.map((type, index) => {
      const name = node.outputs[index] ?? "";
      return name === "" ? new Value(this, name, type) : this.#declare(name, type);
    });
  }

  #adopt(initializer: Initializer): void {
    this.#initializers.push(initializer);
    this.#declare(initializer.name, initializerType(initializer));
  }

  #typeOf(name: string): Inferred | null {
    const own = this.#types.get(name);
    if (own !== undefined || this.#around === null) return own ?? null;
    return this.#around.#typeOf(name);
  }

  #attributes(name: OperatorName, inputs: AttributeInputs): Record<string, Attribute> {
    const { domain, operator } = splitOperatorName(name);
    const kinds = findOperator(domain, operator)?.attributes ?? {};
    const entries = Object.entries(inputs).map(([key, input]) => {
      const kind = kinds[key];
      if (kind === undefined) throw new GraphError(`${name}: attribute "${key}" is not known`);
      return [key, toAttribute(kind, input, `${name}.${key}`)] as const;
    });
    return Object.fromEntries(entries);
  }

  #declare(name: string, type: Inferred): Value {
    if (this.#types.has(name)) throw new GraphError(`"${name}" is defined twice`);
    this.#types.set(name, type);
    return new Value(this, name, type);
  }

  #fresh(label: string): string {
    return this.#numbered([...this.#scopes, label].join("/"));
  }

  #numbered(base: string): string {
    const count = this.#counts.get(base) ?? 0;
    this.#counts.set(base, count + 1);
    const name = count === 0 ? base : `${base}_${count}`;
    return this.#types.has(name) || this.#nested.has(name) ? this.#numbered(base) : name;
  }
}
