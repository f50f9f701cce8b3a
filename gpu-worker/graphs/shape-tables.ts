/** Adapters' tables of word shapes (architectures/lora-layers.ts), in slots as their matrices are. */
import { tensor, type Tensor } from "../tensor/tensor.ts";

export type TableLayout = {
  /** Of the graph's input. */
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
};

export class ShapeTables {
  readonly #layout: TableLayout;
  #slots = 0;
  /** [slots, rows, columns]. */
  #tables = new Float32Array();

  constructor(layout: TableLayout) {
    this.#layout = layout;
  }

  get bytes(): number {
    return this.#tables.byteLength;
  }

  get #length(): number {
    return this.#layout.rows * this.#layout.columns;
  }

  bytesWith(slots: number): number {
    return slots * this.#length * Float32Array.BYTES_PER_ELEMENT;
  }

  /** @throws Error for a table of another size */
  check(table: Float32Array): void {
    const { rows, columns } = this.#layout;
    if (table.length === this.#length) return;
    throw new Error(
      `its table of word shapes holds ${table.length} numbers, not the ${rows} × ${columns} of its base`,
    );
  }

  /** Runs under way keep the array that they were given. */
  grow(slots: number): void {
    const grown = new Float32Array(slots * this.#length);
    grown.set(this.#tables);
    this.#tables = grown;
    this.#slots = slots;
  }

  /** @param table null: it reads none, and has zeros */
  write(slot: number, table: Float32Array | null): void {
    const from = slot * this.#length;
    this.#tables.fill(0, from, from + this.#length);
    if (table !== null) this.#tables.set(table, from);
  }

  /** What a run is fed. */
  feeds(): Record<string, Tensor> {
    const { name, rows, columns } = this.#layout;
    return { [name]: tensor("float32", [this.#slots, rows, columns], this.#tables) };
  }
}
