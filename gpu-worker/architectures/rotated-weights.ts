/**
 * A decoder's checkpoint with its hidden state rotated, and the values of each head: it computes the same, and what is
 * large in a few features is spread over all (R1 and R2 of SpinQuant, Liu et al., https://arxiv.org/abs/2405.16406).
 * What a norm multiplies by goes into the matrices that read it, and so becomes 1; tied tables become two.
 */
import { tensor } from "../tensor/tensor.ts";
import { readFloat32 } from "../weights/read-float32.ts";
import type { WeightEntry, WeightSource } from "../weights/weight-source.ts";
import { type DecoderArchitecture, decoderPrefixes } from "./decoder-architecture.ts";
import type { Projection } from "./decoder-products.ts";
import { projectionsOf } from "./decoder-projections.ts";
import { storedSize } from "./feature-heads.ts";
import { canRotateSize, Rotation } from "./rotation.ts";
import { timesColumns } from "./times-columns.ts";
import { transposeMatrix } from "./transpose-matrix.ts";
import { promptTable } from "./virtual-tokens.ts";

/** Norms of what is added to the hidden state multiply by features of it, which a rotation mixes. */
export function canRotate(architecture: DecoderArchitecture): boolean {
  const { norms, hidden, headWidth, intermediate } = architecture;
  const sizes = [hidden, headWidth, intermediate];
  return norms.attended === null && norms.fed === null && sizes.every(canRotateSize);
}

type Change = (stored: Float32Array) => Float32Array;

const embedding = "embed_tokens.weight";
const output = "lm_head.weight";

/** Of the rows of `matrix` [size, columns]: Rᵀ·M. */
function rotateColumns(rotation: Rotation, matrix: Float32Array, columns: number): Float32Array {
  const transposed = transposeMatrix(matrix, columns);
  rotation.rows(transposed, transposed);
  return transposeMatrix(transposed, matrix.length / columns);
}

function weightsOf({ layers }: Projection): string[] {
  return layers.map(({ name }) => `${name}.weight`);
}

class Changes {
  /** By the tensor's name without prefix; absent: it stays as it is. */
  readonly #changes = new Map<string, Change>();
  readonly #architecture: DecoderArchitecture;
  /** What the norm of that name multiplies by. */
  readonly #gainsOf: (norm: string) => Float32Array;
  readonly #hidden: Rotation;
  readonly #values: Rotation;

  constructor(architecture: DecoderArchitecture, gainsOf: (norm: string) => Float32Array) {
    this.#architecture = architecture;
    this.#gainsOf = gainsOf;
    this.#hidden = new Rotation(architecture.hidden);
    this.#values = new Rotation(architecture.headWidth);
    for (const table of [embedding, promptTable]) {
      this.#changes.set(table, (matrix) => this.#hidden.rows(matrix));
    }
    this.#reads("norm", [output]);
    for (const block of architecture.layers.keys()) this.#addBlock(block);
  }

  of(name: string): Change | null {
    return this.#changes.get(name) ?? null;
  }

  #addBlock(block: number): void {
    const { norms } = this.#architecture;
    const { queryKeyValue, attentionOutput, gateUp, down } = projectionsOf(
      this.#architecture,
      block,
    );
    this.#reads(`layers.${block}.${norms.attention}`, weightsOf(queryKeyValue));
    this.#reads(`layers.${block}.${norms.feedForward}`, weightsOf(gateUp));
    const value = queryKeyValue.layers.at(-1)?.name ?? "";
    this.#add(`${value}.weight`, (matrix) =>
      rotateColumns(this.#values, matrix, this.#architecture.hidden),
    );
    this.#add(`${value}.bias`, (bias) => this.#values.rows(bias));
    for (const { name } of attentionOutput.layers) {
      this.#add(`${name}.weight`, (matrix) => this.#values.rows(matrix));
    }
    for (const projection of [attentionOutput, down]) this.#writes(projection);
  }

  /** The norm's result is read by these matrices [outputs, hidden]. */
  #reads(norm: string, matrices: readonly string[]): void {
    const { hidden, normOffset } = this.#architecture;
    this.#add(`${norm}.weight`, () => new Float32Array(hidden).fill(1 - normOffset));
    for (const name of matrices) {
      this.#add(name, (matrix) => {
        const scaled = timesColumns(matrix, this.#gainsOf(norm));
        return this.#hidden.rows(scaled, scaled);
      });
    }
  }

  /** What it gives is added to the hidden state. */
  #writes({ layers, inputs }: Projection): void {
    for (const { name } of layers) {
      this.#add(`${name}.weight`, (matrix) =>
        rotateColumns(this.#hidden, matrix, storedSize(inputs)),
      );
      this.#add(`${name}.bias`, (bias) => this.#hidden.rows(bias));
    }
  }

  #add(name: string, change: Change): void {
    const before = this.#changes.get(name);
    this.#changes.set(name, before ? (stored) => change(before(stored)) : change);
  }
}

function withoutPrefix(name: string): string {
  const prefix = decoderPrefixes.find((each) => name.startsWith(each)) ?? "";
  return name.slice(prefix.length);
}

/** @param source of an architecture that `canRotate`; what is read of it is computed anew each time */
export function rotatedWeights(
  architecture: DecoderArchitecture,
  source: WeightSource,
): WeightSource {
  const storedNames = new Map(source.names().map((name) => [withoutPrefix(name), name]));
  const stored = (name: string) => storedNames.get(name) ?? name;
  const changes = new Changes(architecture, (norm) =>
    readFloat32(source, stored(`${norm}.weight`)).map((gain) => gain + architecture.normOffset),
  );
  /** The output layer of tied tables is their table. */
  const origin = (name: string) => {
    const isTied = name === output && architecture.tied && !storedNames.has(output);
    return isTied ? stored(embedding) : name;
  };
  const entry = (name: string): WeightEntry | null => {
    const found = source.entry(origin(name));
    if (found === null || changes.of(withoutPrefix(name)) === null) return found;
    const { shape } = found;
    const bytes = shape.reduce((product, size) => product * size, Float32Array.BYTES_PER_ELEMENT);
    return { name, shape, dtype: "float32", byteLength: bytes };
  };
  return {
    metadata: source.metadata,
    names: () => source.names(),
    entry,
    read: (name) => {
      const change = changes.of(withoutPrefix(name));
      const from = origin(name);
      if (change === null) return source.read(from);
      return tensor("float32", entry(name)?.shape ?? [], change(readFloat32(source, from)));
    },
    close: () => source.close(),
  };
}
