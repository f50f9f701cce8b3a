/** A table of each adapter, side by side in slots; zeros where an adapter has none. */
import { tensor, type Tensor } from "../tensor/tensor.ts";

export type TableLayout = {
  /** Of its input. */
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
};

export class SlotTables {
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

  bytesWith(slots: number): number {
    return slots * this.#size * Float32Array.BYTES_PER_ELEMENT;
  }

  get #size(): number {
    return this.#layout.rows * this.#layout.columns;
  }

  /** Room for so many slots. Runs under way keep the array that they were given. */
  grow(slots: number): void {
    const grown = new Float32Array(slots * this.#size);
    grown.set(this.#tables);
    this.#tables = grown;
    this.#slots = slots;
  }

  /** @throws Error for a table of another size */
  check(table: Float32Array): void {
    if (table.length === this.#size) return;
    const { rows, columns } = this.#layout;
    throw new Error(
      `its table of word shapes holds ${table.length} numbers, not the ${rows} × ${columns} of its base`,
    );
  }

  /** @param table [rows, columns]; null: none */
  write(slot: number, table: Float32Array | null): void {
    if (table === null) this.#tables.fill(0, slot * this.#size, (slot + 1) * this.#size);
    else this.#tables.set(table, slot * this.#size);
  }

  /** What a run is fed. */
  feeds(): Record<string, Tensor> {
    const { name, rows, columns } = this.#layout;
    return { [name]: tensor("float32", [this.#slots, rows, columns], this.#tables) };
  }
}
