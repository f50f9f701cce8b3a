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
import type { SlotTables } from "./slot-tables.ts";

/** As checkpoints have it. */
export type LayerSize = { readonly inputs: number; readonly outputs: number };

export type StackedLayer = StackPlace & {
  /** Name of its stack. */
  readonly stack: string;
  readonly inputs: Features;
  readonly outputs: Features;
};

/** What an adapter adds to its base, but for its head. */
export type AdapterParts = {
  /** By the names of the stacks' layers, of the sizes there. */
  readonly layers: ReadonlyMap<string, LoraMatrices>;
  /** Of word shapes, f32 [shapes, width]; null: it reads none. */
  readonly shapes: Float32Array | null;
};

export class AdapterStacks {
  readonly #stacks: ReadonlyMap<string, LoraStack>;
  readonly #layers: ReadonlyMap<string, StackedLayer>;
  readonly #tables: SlotTables | null;
  /** Of each adapter. */
  readonly #slots = new Map<number, number>();
  readonly #running = new Set<Promise<unknown>>();
  readonly #free: number[] = [];
  #slotCount = 1;
  #adapters = 0;
  #feeds: Record<string, Tensor> = {};

  /**
   * @param layers by the names that adapters have for them
   * @param tables of word shapes; null: the graph reads none
   */
  constructor(
    layouts: readonly StackLayout[],
    layers: ReadonlyMap<string, StackedLayer>,
    tables: SlotTables | null = null,
  ) {
    this.#stacks = new Map(layouts.map((layout) => [layout.name, new LoraStack(layout)]));
    this.#layers = layers;
    this.#tables = tables;
    this.#grow();
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
    return [...this.#stacks.values()].reduce((sum, { bytes }) => {
      return sum + bytes;
    }, this.#tables?.bytes ?? 0);
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

  /** @returns the adapter's number @throws Error for a table of another size than the base's */
  add({ layers, shapes }: AdapterParts): number {
    if (shapes !== null) this.#checkTable(shapes);
    const slot = this.#free.pop() ?? this.#newSlot();
    for (const stack of this.#stacks.values()) stack.clear(slot);
    this.#tables?.write(slot, shapes);
    for (const [name, { rank, down, up }] of layers) {
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

  #checkTable(shapes: Float32Array): void {
    if (this.#tables === null) throw new Error("its base reads no word shapes");
    this.#tables.check(shapes);
  }

  #grow(): void {
    for (const stack of this.#stacks.values()) stack.grow(this.#slotCount);
    this.#tables?.grow(this.#slotCount);
  }

  /** Stacks grow by doubling. */
  #newSlot(): number {
    const slot = this.#slotCount;
    this.#slotCount = 2 * slot;
    this.#grow();
    for (let more = this.#slotCount - 1; more > slot; more -= 1) this.#free.push(more);
    return slot;
  }

  #refeed(): void {
    const stacks = Array.from(this.stacks, (stack) => stack.feeds());
    this.#feeds = Object.assign({}, ...stacks, this.#tables?.feeds());
  }
}
