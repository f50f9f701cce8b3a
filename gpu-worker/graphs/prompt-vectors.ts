/**
 * The vectors of an encoder's soft prompts (architectures/virtual-tokens.ts), which come and go while others run: each
 * prompt has rows of one table in a stretch, whose places are the ids of its virtual tokens.
 */
import { encoderVirtualFrom } from "../model/virtual-tokens.ts";
import { tensor, type Tensor } from "../tensor/tensor.ts";

type Stretch = { readonly from: number; readonly count: number };

export class PromptVectors {
  readonly #name: string;
  readonly #width: number;
  /** In the order of their places. */
  #held: Stretch[] = [];
  /** Never empty: a graph takes at least one row. */
  #table: Float32Array<ArrayBuffer>;

  /** @param name of the graph's input @param width of a vector */
  constructor(name: string, width: number) {
    this.#name = name;
    this.#width = width;
    this.#table = new Float32Array(width);
  }

  get bytes(): number {
    return this.#table.byteLength;
  }

  /** @param vectors row by row @returns the ids that stand for them @throws Error for vectors of another width */
  add(vectors: Float32Array, width: number): number[] {
    if (width !== this.#width) {
      throw new Error(
        `its virtual tokens have ${width} numbers each, those of its base ${this.#width}`,
      );
    }
    const count = vectors.length / width;
    const from = this.#freeFor(count);
    this.#held = [...this.#held, { from, count }].toSorted((a, b) => a.from - b.from);
    this.#resize();
    this.#table.set(vectors, from * width);
    return Array.from({ length: count }, (_, at) => encoderVirtualFrom + from + at);
  }

  /** Its places are another's from then on. */
  remove([first = 0]: readonly number[]): void {
    this.#held = this.#held.filter(({ from }) => from !== first - encoderVirtualFrom);
    this.#resize();
  }

  /** The first place with so many free behind it. */
  #freeFor(count: number): number {
    let from = 0;
    for (const held of this.#held) {
      if (held.from - from >= count) break;
      from = held.from + held.count;
    }
    return from;
  }

  /** A table of its own: runs under way keep the one that they were given. */
  #resize(): void {
    const { from = 0, count = 1 } = this.#held.at(-1) ?? {};
    const resized = new Float32Array((from + count) * this.#width);
    resized.set(this.#table.subarray(0, resized.length));
    this.#table = resized;
  }

  /** What a run is fed. */
  feeds(): Record<string, Tensor> {
    const rows = this.#table.length / this.#width;
    return { [this.#name]: tensor("float32", [rows, this.#width], this.#table) };
  }
}
