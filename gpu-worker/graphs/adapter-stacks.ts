/**
 * The adapters of low rank that a session is run with: they come and go while others run, and one run may mix them.
 * They are counted from 1 and no number is given twice, so that what asks for one that has gone is refused, never
 * run with another.
 *
 * Slot 0 stays empty, for what has no adapter. Where an adapter has no part in a layer its matrices there are zeros,
 * and so is its table where it reads no word shapes.
 */
import { type Features, padRows, storedSize } from "../architectures/feature-heads.ts";
import { padColumns } from "../architectures/projection-weights.ts";
import { RuntimeError } from "../runtime/session.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type LoraMatrices, LoraStack, type StackLayout, type StackPlace } from "./lora-stack.ts";
import { ShapeTables, type TableLayout } from "./shape-tables.ts";

/** As checkpoints have it. */
export type LayerSize = { readonly inputs: number; readonly outputs: number };

export type StackedLayer = StackPlace & {
  /** Name of its stack. */
  readonly stack: string;
  readonly inputs: Features;
  readonly outputs: Features;
};

export class AdapterStacks {
  readonly #stacks: ReadonlyMap<string, LoraStack>;
  readonly #layers: ReadonlyMap<string, StackedLayer>;
  readonly #tables: ShapeTables | null;
  /** Of each adapter. */
  readonly #slots = new Map<number, number>();
  readonly #running = new Set<Promise<unknown>>();
  readonly #free: number[] = [];
  #slotCount = 1;
  #adapters = 0;
  #feeds: Record<string, Tensor> = {};

  /**
   * @param layers by the names that adapters have for them
   * @param table of word shapes, which they may have too
   */
  constructor(
    layouts: readonly StackLayout[],
    layers: ReadonlyMap<string, StackedLayer>,
    table: TableLayout | null = null,
  ) {
    this.#tables = table === null ? null : new ShapeTables(table);
    this.#tables?.grow(this.#slotCount);
    this.#stacks = new Map(layouts.map((layout) => [layout.name, new LoraStack(layout)]));
    this.#layers = layers;
    for (const stack of this.#stacks.values()) stack.grow(this.#slotCount);
    this.#refeed();
  }

  /** Layers that an adapter can have a part in. */
  get layers(): ReadonlyMap<string, LayerSize> {
    const sizes = [...this.#layers].map(([name, { inputs, outputs }]) => {
      return [name, { inputs: storedSize(inputs), outputs: storedSize(outputs) }] as const;
    });
    return new Map(sizes);
  }

  get stacks(): Iterable<LoraStack> {
    return this.#stacks.values();
  }

  /** Adapters that are there. */
  get size(): number {
    return this.#slots.size;
  }

  get bytes(): number {
    const tables = this.#tables?.bytes ?? 0;
    return [...this.#stacks.values()].reduce((sum, { bytes }) => sum + bytes, tables);
  }

  /** What the stacks would grow by with an adapter more. @param parts by the names of layers, prefixes and all */
  growth(parts: readonly { readonly name: string; readonly rank: number }[]): number {
    const slots = this.#free.length > 0 ? this.#slotCount : 2 * this.#slotCount;
    const ranks = new Map<string, number>();
    for (const [layer, { stack }] of this.#layers) {
      const rank = parts.find(({ name }) => name.endsWith(layer))?.rank ?? 0;
      ranks.set(stack, Math.max(ranks.get(stack) ?? 0, rank));
    }
    let bytes = this.#tables?.bytesWith(slots) ?? 0;
    for (const [name, stack] of this.#stacks) bytes += stack.bytesWith(slots, ranks.get(name) ?? 0);
    return bytes - this.bytes;
  }

  /**
   * @param matrices by the names of `layers`, of the sizes there
   * @param table of word shapes; null: it reads none
   * @returns the adapter's number
   * @throws Error for a table where the graph reads none, or of another size
   */
  add(matrices: ReadonlyMap<string, LoraMatrices>, table: Float32Array | null = null): number {
    if (table !== null) this.#checkTable(table);
    const slot = this.#free.pop() ?? this.#newSlot();
    this.#tables?.write(slot, table);
    for (const stack of this.#stacks.values()) stack.clear(slot);
    for (const [name, { rank, down, up }] of matrices) {
      const layer = this.#layers.get(name);
      if (layer === undefined) throw new RuntimeError(`there is no layer ${name}`);
      const { stack, inputs, outputs } = layer;
      const padded = { rank, down: padRows(down, inputs, rank), up: padColumns(up, outputs) };
      this.#stacks.get(stack)?.write(slot, layer, padded);
    }
    this.#refeed();
    this.#adapters += 1;
    this.#slots.set(this.#adapters, slot);
    return this.#adapters;
  }

  /** Resolves when no run uses it any more; its slot is another's then. */
  async remove(adapter: number): Promise<void> {
    const slot = this.#slots.get(adapter);
    if (slot === undefined) return;
    this.#slots.delete(adapter);
    await Promise.allSettled(this.#running);
    this.#free.push(slot);
  }

  /**
   * Runs with the stacks as they are now.
   * @param adapters int64, as they are counted; 0: none
   * @throws RuntimeError for an adapter that has gone
   */
  async run<T>(
    adapters: Tensor | undefined,
    run: (feeds: Record<string, Tensor>) => Promise<T>,
  ): Promise<T> {
    const running = run({ ...this.#feeds, lora_slots: this.#slotsOf(adapters) });
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  #slotsOf(adapters: Tensor | undefined): Tensor {
    if (adapters?.dtype !== "int64") throw new RuntimeError("lora_slots is int64");
    const slots = adapters.data.map((adapter) => {
      const slot = adapter === 0n ? 0 : this.#slots.get(Number(adapter));
      if (slot === undefined) throw new RuntimeError(`adapter ${adapter} was removed`);
      return BigInt(slot);
    });
    return { ...adapters, data: slots };
  }

  #checkTable(table: Float32Array): void {
    if (this.#tables === null) throw new Error("its base reads no word shapes");
    this.#tables.check(table);
  }

  /** Stacks grow by doubling. */
  #newSlot(): number {
    const slot = this.#slotCount;
    this.#slotCount = 2 * slot;
    for (const stack of this.#stacks.values()) stack.grow(this.#slotCount);
    this.#tables?.grow(this.#slotCount);
    for (let more = this.#slotCount - 1; more > slot; more -= 1) this.#free.push(more);
    return slot;
  }

  #refeed(): void {
    const stacks = Array.from(this.stacks, (stack) => stack.feeds());
    this.#feeds = Object.assign({}, ...stacks, this.#tables?.feeds());
  }
}
