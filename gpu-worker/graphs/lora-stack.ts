/**
 * One kind of layer's adapters of low rank, all of them side by side, as architectures/lora-layers.ts and
 * lora-products.ts read them: in slots, each as wide as the widest of them.
 */
import { transposeMatrix } from "../architectures/transpose-matrix.ts";
import { tensor, type Tensor } from "../tensor/tensor.ts";

/** An adapter's part in a layer. */
export type LoraMatrices = {
  readonly rank: number;
  /** Aᵀ, [in, rank]. */
  readonly down: Float32Array;
  /** Bᵀ times the adapter's scale, [rank, out]. */
  readonly up: Float32Array;
};

export type StackLayout = {
  /** Of its inputs `name`.lora_A and `name`.lora_B. */
  readonly name: string;
  /** Times that a slot has the layers. */
  readonly blocks: number;
  readonly inputs: number;
  /** Index of the layer that each part of the outputs is of; null: there is one layer, and no axis for them. */
  readonly parts: readonly number[] | null;
  /** Of a part. */
  readonly width: number;
  /** Whether A is [rank, in], so that adapters' lie below each other, and not Aᵀ. Default false. */
  readonly ranksFirst?: boolean;
};

/** Where in a slot a layer is. */
export type StackPlace = { readonly block: number; readonly layer: number };

export const downSuffix = ".lora_A";
export const upSuffix = ".lora_B";

/** Products with fewer columns take as long. */
const rankMin = 8;

function paddedRank(rank: number): number {
  return rank === 0 ? 0 : Math.max(rankMin, 2 ** Math.ceil(Math.log2(rank)));
}

type Sizes = { readonly count: number; readonly rows: number; readonly columns: number };

/** The same matrices [count, rows, columns], each with room for more. */
function widened(from: Float32Array, before: Sizes, after: Sizes): Float32Array<ArrayBuffer> {
  const to = new Float32Array(after.count * after.rows * after.columns);
  for (let at = 0; at < before.count; at += 1) {
    for (let row = 0; row < before.rows; row += 1) {
      const start = (at * before.rows + row) * before.columns;
      const place = (at * after.rows + row) * after.columns;
      to.set(from.subarray(start, start + before.columns), place);
    }
  }
  return to;
}

export class LoraStack {
  readonly #layout: StackLayout;
  readonly #parts: readonly number[];
  readonly #layers: number;
  #slots = 0;
  #rank = 0;
  /** [slots, blocks, layers, inputs, rank], or with the last two the other way round. */
  #down = new Float32Array();
  /** [slots, blocks, parts, rank, width]. */
  #up = new Float32Array();

  constructor(layout: StackLayout) {
    this.#layout = layout;
    this.#parts = layout.parts ?? [0];
    this.#layers = new Set(this.#parts).size;
  }

  get name(): string {
    return this.#layout.name;
  }

  /** Of all slots: the largest, rounded up. */
  get rank(): number {
    return this.#rank;
  }

  get bytes(): number {
    return this.#down.byteLength + this.#up.byteLength;
  }

  /** Weights of its layers in one block. */
  get weights(): number {
    const { inputs, width } = this.#layout;
    return inputs * this.#parts.length * width;
  }

  /** Numbers of an adapter of the stack's rank in one block. */
  get numbers(): number {
    return this.#numbersOf(this.#rank);
  }

  /** Bytes with so many slots, one of them of that rank. */
  bytesWith(slots: number, rank: number): number {
    const wide = Math.max(this.#rank, paddedRank(rank));
    const numbers = slots * this.#layout.blocks * this.#numbersOf(wide);
    return numbers * Float32Array.BYTES_PER_ELEMENT;
  }

  #numbersOf(rank: number): number {
    const { inputs, width } = this.#layout;
    return rank * (inputs * this.#layers + this.#parts.length * width);
  }

  /** Room for so many slots. */
  grow(slots: number): void {
    this.#resize(slots, this.#rank);
  }

  clear(slot: number): void {
    for (const stack of [this.#down, this.#up]) {
      const size = stack.length / this.#slots;
      stack.fill(0, slot * size, (slot + 1) * size);
    }
  }

  /** `matrices` of as many inputs and outputs as the stack's layers have. */
  write(slot: number, { block, layer }: StackPlace, { rank, down, up }: LoraMatrices): void {
    if (paddedRank(rank) > this.#rank) this.#resize(this.#slots, paddedRank(rank));
    const { width, blocks } = this.#layout;
    const entry = slot * blocks + block;
    this.#writeDown(entry * this.#layers + layer, down, rank);
    const first = this.#parts.indexOf(layer);
    const outputs = up.length / rank;
    for (const [part, of] of this.#parts.entries()) {
      if (of !== layer) continue;
      for (let row = 0; row < rank; row += 1) {
        const from = row * outputs + (part - first) * width;
        const place = ((entry * this.#parts.length + part) * this.#rank + row) * width;
        this.#up.set(up.subarray(from, from + width), place);
      }
    }
  }

  #writeDown(at: number, down: Float32Array, rank: number): void {
    const { inputs, ranksFirst = false } = this.#layout;
    const start = at * inputs * this.#rank;
    if (ranksFirst) {
      this.#down.set(transposeMatrix(down, rank), start);
      return;
    }
    for (let row = 0; row < inputs; row += 1) {
      this.#down.set(down.subarray(row * rank, (row + 1) * rank), start + row * this.#rank);
    }
  }

  /** What a run is fed. */
  feeds(): Record<string, Tensor> {
    const { name, blocks, inputs, parts, width, ranksFirst = false } = this.#layout;
    const entries = this.#slots * blocks;
    const [low, high] = parts === null ? [[], []] : [[this.#layers], [parts.length]];
    const each = ranksFirst ? [this.#rank, inputs] : [inputs, this.#rank];
    return {
      [`${name}${downSuffix}`]: tensor("float32", [entries, ...low, ...each], this.#down),
      [`${name}${upSuffix}`]: tensor("float32", [entries, ...high, this.#rank, width], this.#up),
    };
  }

  /** Runs under way keep the arrays that they were given. */
  #resize(slots: number, rank: number): void {
    const { blocks, inputs, width, ranksFirst = false } = this.#layout;
    const [entries, grown] = [this.#slots * blocks, slots * blocks];
    const downOf = (count: number, wide: number): Sizes => {
      const matrices = count * this.#layers;
      return ranksFirst
        ? { count: matrices, rows: wide, columns: inputs }
        : { count: matrices, rows: inputs, columns: wide };
    };
    this.#down = widened(this.#down, downOf(entries, this.#rank), downOf(grown, rank));
    const parts = this.#parts.length;
    this.#up = widened(
      this.#up,
      { count: entries * parts, rows: this.#rank, columns: width },
      { count: grown * parts, rows: rank, columns: width },
    );
    this.#slots = slots;
    this.#rank = rank;
  }
}
