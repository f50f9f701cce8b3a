/**
 * A checkpoint's tensors in a graph, under the names the checkpoint gives them. They are constants, which may be
 * rearranged and folded into each other, or inputs as they are stored, of a graph that trains. Shapes are checked when
 * a tensor is asked for, constants' bytes are read when the graph is written: the source must stay open until then.
 */
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
import { elementCount } from "../tensor/shape.ts";
import type { Shape } from "../tensor/shape.ts";
import type { GgmlBlocks, GgmlType } from "../weights/ggml-blocks.ts";
import { quantiseRows } from "../weights/int8-rows.ts";
import type { Int8Rows } from "../weights/int8-rows.ts";
import { readFloat32, readInt8Rows } from "../weights/read-float32.ts";
import { WeightError } from "../weights/weight-source.ts";
import type { WeightSource } from "../weights/weight-source.ts";

/** A tensor and the shape that it must have. */
export type StoredTensor = { readonly name: string; readonly shape: Shape };

export class Parameters {
  readonly graph: GraphBuilder;
  readonly #source: WeightSource;
  readonly #prefixes: readonly string[];
  readonly #isInput: ((stored: string) => boolean) | null;
  /** Of a graph that trains: tensors as they are stored, each once however many read it. */
  readonly #whole = new Map<string, Value>();

  /**
   * @param prefixes what checkpoints put before a name ("bert."), tried in order after the bare name
   * @param isInput by the name that the checkpoint has; null: the graph does not train, all are constants
   */
  constructor(
    graph: GraphBuilder,
    source: WeightSource,
    prefixes: readonly string[],
    isInput: ((stored: string) => boolean) | null = null,
  ) {
    this.graph = graph;
    this.#source = source;
    this.#prefixes = ["", ...prefixes];
    this.#isInput = isInput;
  }

  isInput(name: string): boolean {
    return this.#isInput?.(this.#stored(name)) ?? false;
  }

  has(name: string): boolean {
    return this.#find(name) !== null;
  }

  shapeOf(name: string): Shape {
    return this.#source.entry(this.#stored(name))?.shape ?? [];
  }

  /**
   * The tensor as f32 of `shape`; a constant through `transform` if its elements have to be rearranged first.
   * @throws TypeError for an input that would have to be
   */
  tensor(
    name: string,
    shape: Shape,
    transform: ((elements: Float32Array) => Float32Array) | undefined = undefined,
  ): Value {
    const stored = this.#stored(name);
    const found = this.shapeOf(name);
    if (elementCount(found) !== elementCount(shape)) {
      throw new WeightError(`"${stored}" is [${found.join(", ")}], not [${shape.join(", ")}]`);
    }
    const asStored = transform === undefined && found.join() === shape.join();
    if (this.#isInput?.(stored) && !asStored) {
      throw new TypeError(`"${stored}" is an input as it is stored, not rearranged`);
    }
    if (this.#isInput === null || !asStored) return this.#constant(stored, shape, transform);
    const whole = this.#whole.get(stored) ?? this.#asStored(stored, shape);
    this.#whole.set(stored, whole);
    return whole;
  }

  #asStored(stored: string, shape: Shape): Value {
    if (this.#isInput?.(stored)) return this.graph.input(stored, "float32", shape);
    return this.#constant(stored, shape, undefined);
  }

  #constant(
    stored: string,
    shape: Shape,
    transform: ((elements: Float32Array) => Float32Array) | undefined,
  ): Value {
    return this.graph.initializer({
      name: this.graph.uniqueName(stored),
      dtype: "float32",
      shape,
      load: () => {
        const elements = readFloat32(this.#source, stored);
        return transform === undefined ? elements : transform(elements);
      },
    });
  }

  /** One f32 constant of several tensors. The first names it. */
  combined(
    parts: readonly StoredTensor[],
    shape: Shape,
    combine: (tensors: readonly Float32Array[]) => Float32Array,
  ): Value {
    const read = this.reader(parts);
    return this.graph.initializer({
      name: this.graph.uniqueName(this.#stored(parts[0]?.name ?? "")),
      dtype: "float32",
      shape,
      load: () => combine(read()),
    });
  }

  /** Checks the tensors, and gives what reads them as f32. */
  reader(parts: readonly StoredTensor[]): () => readonly Float32Array[] {
    const stored = parts.map((part) => this.#checked(part));
    return () => stored.map((name) => readFloat32(this.#source, name));
  }

  /** The types of blocks that the tensors are stored in; null: one is stored otherwise. */
  blockTypes(parts: readonly StoredTensor[]): readonly GgmlType[] | null {
    const types = parts.map((part) => this.#source.entry(this.#checked(part))?.stored);
    return types.every((type) => type !== undefined) ? types : null;
  }

  /** Of tensors that have such types. */
  blocks(parts: readonly StoredTensor[]): readonly GgmlBlocks[] {
    return parts.flatMap((part) => this.#source.blocks?.(this.#checked(part)) ?? []);
  }

  /** The tensor's elements as f32, row-major. */
  elements(name: string): Float32Array {
    return readFloat32(this.#source, this.#stored(name));
  }

  /** A matrix [rows, columns] as int8 with a scale per row: as stored, or quantised here. */
  int8Rows(name: string, columns: number): Int8Rows {
    const stored = this.#stored(name);
    const found = this.shapeOf(name);
    if (found.length !== 2 || found[1] !== columns) {
      throw new WeightError(`"${stored}" is [${found.join(", ")}], expected ${columns} columns`);
    }
    const rows = readInt8Rows(this.#source, stored);
    return rows ?? quantiseRows(readFloat32(this.#source, stored), columns);
  }

  isInt8(name: string): boolean {
    return this.#source.entry(this.#stored(name))?.dtype === "int8";
  }

  #checked({ name, shape: expected }: StoredTensor): string {
    const stored = this.#stored(name);
    const found = this.shapeOf(name);
    if (found.join() === expected.join()) return stored;
    throw new WeightError(`"${stored}" is [${found.join(", ")}], not [${expected.join(", ")}]`);
  }

  #stored(name: string): string {
    const found = this.#find(name);
    if (found === null) throw new WeightError(`there is no tensor "${name}"`);
    return found;
  }

  #find(name: string): string | null {
    const names = this.#prefixes.flatMap((prefix) => [prefix + name, prefix + oldName(name)]);
    return names.find((candidate) => this.#source.entry(candidate) !== null) ?? null;
  }
}

/** Checkpoints converted from TensorFlow call a norm's weight gamma and its bias beta. */
function oldName(name: string): string {
  return name
    .replace(/LayerNorm\.weight$/, "LayerNorm.gamma")
    .replace(/LayerNorm\.bias$/, "LayerNorm.beta");
}
