/**
 * Activation checkpointing (Chen et al., https://arxiv.org/abs/1604.06174): of the forward part only some values are
 * kept, and what the backward part reads between two of them is computed again from the first.
 *
 * ONNX Runtime would undo that: it merges equal nodes, and would compute again at once what depends on nothing of the
 * backward part. So what is computed again starts from the checkpoint reshaped to its own shape, a shape that is joined
 * with none of the gradient's sizes at the end of the segment: it cannot be known earlier, nor be merged.
 */
import { GraphError } from "../onnx/graph.ts";
import type { Node } from "../onnx/graph.ts";
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";

export class Recomputation {
  readonly #graph: GraphBuilder;
  readonly #checkpoints: readonly string[];
  readonly #producers = new Map<string, Node>();
  /** By value: index of the last checkpoint that it depends on; not there: on none. */
  readonly #segments = new Map<string, number>();
  /** By segment, once the backward part has come to its end: the checkpoint it starts from, to compute from again. */
  readonly #sources = new Map<number, Value>();
  readonly #again = new Map<string, Value>();

  /** @throws GraphError for checkpoints that are not computed, in another order, or of fixed shape */
  constructor(graph: GraphBuilder, nodes: readonly Node[], checkpoints: readonly string[]) {
    this.#graph = graph;
    this.#checkpoints = checkpoints;
    let reached = 0;
    for (const node of nodes) {
      const before = Math.max(-1, ...node.inputs.map((name) => this.#segments.get(name) ?? -1));
      for (const name of node.outputs) {
        this.#producers.set(name, node);
        const index = checkpoints.indexOf(name);
        if (index >= 0) expectCheckpoint(graph.value(name), index === reached++);
        if (index >= 0 || before >= 0) this.#segments.set(name, Math.max(index, before));
      }
    }
    const lost = checkpoints.find((name) => !this.#producers.has(name));
    if (lost !== undefined) throw new GraphError(`the checkpoint "${lost}" is not computed`);
  }

  /** The backward part comes to `name`, with its gradient. */
  reach(name: string, gradient: () => Value | null): void {
    const segment = this.#checkpoints.indexOf(name) - 1;
    const start = this.#checkpoints[segment];
    const end = start === undefined ? null : gradient();
    if (start === undefined || end === null) return;
    const nothing = end.op("Shape").slice(0, 0, 0);
    const kept = this.#graph.value(start);
    const shape = kept.op("Shape").op("Concat", [nothing], { axis: 0 });
    this.#sources.set(segment, kept.op("Reshape", [shape]));
  }

  /** A value of the forward part: itself where it is kept, else the same computed again. */
  read(name: string): Value {
    const segment = this.#segments.get(name) ?? -1;
    const source = this.#sources.get(segment);
    if (source === undefined || this.#checkpoints.includes(name)) return this.#graph.value(name);
    return this.#compute(name, segment, source);
  }

  #compute(name: string, segment: number, source: Value): Value {
    const known = this.#again.get(name);
    if (known !== undefined) return known;
    const node = this.#producers.get(name);
    if (node === undefined) return this.#graph.value(name);
    const inputs = node.inputs.map((input) => {
      if (input === "") return null;
      if (input === this.#checkpoints[segment]) return source;
      const inside = this.#segments.get(input) === segment;
      return inside ? this.#compute(input, segment, source) : this.#graph.value(input);
    });
    const values = this.#graph.again(node, inputs);
    for (const [at, output] of node.outputs.entries()) {
      const value = values[at];
      if (value !== undefined) this.#again.set(output, value);
    }
    return this.#again.get(name) ?? this.#graph.value(name);
  }
}

function expectCheckpoint({ name, shape }: Value, inOrder: boolean): void {
  if (!inOrder) throw new GraphError(`the checkpoint "${name}" is computed in another order`);
  if (shape.some((dim) => typeof dim !== "number")) return;
  throw new GraphError(
    `the checkpoint "${name}" is [${shape.join(", ")}] in every run: the runtime would keep what follows it`,
  );
}
