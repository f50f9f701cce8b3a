/**
 * A graph with stacks of adapters of low rank (architectures/lora-layers.ts), and what is in them: adapters come and go
 * while others run, and one batch may mix them. Adapters are counted from 1 and no number is given twice, so that rows
 * of one that has gone are refused, never run with another.
 *
 * Slot 0 stays empty, for rows without an adapter. Where an adapter has no part in a layer its matrices there are
 * zeros, and so is its table where it reads no word shapes.
 */
import { shapeTables } from "../architectures/lora-layers.ts";
import type { EncoderSession } from "../model/encoder-session.ts";
import { type RunOptions, RuntimeError, type Session } from "../runtime/session.ts";
import { tensor, type Tensor } from "../tensor/tensor.ts";

/** An adapter's part in a layer. */
export type LoraMatrices = {
  readonly rank: number;
  /** Aᵀ, [in, rank]. */
  readonly down: Float32Array;
  /** Bᵀ times the adapter's scale, [rank, out]. */
  readonly up: Float32Array;
};

export type LayerSize = { readonly inputs: number; readonly outputs: number };

/** All adapters' parts in a layer. */
type Stack = LayerSize & {
  /** Of all slots: the largest, rounded up. */
  rank: number;
  /** [slots, in, rank] and [slots, rank, out]. */
  down: Float32Array<ArrayBuffer>;
  up: Float32Array<ArrayBuffer>;
};

/** Products with fewer columns take as long. */
const rankMin = 8;
const downSuffix = ".lora_A";
const upSuffix = ".lora_B";

/**
 * Rows that a group costs beside its own, times the layers' weights, by the numbers of an adapter that it copies:
 * measured with MiniLM in int8, where six layers of rank 8 in each of six blocks cost as much as four rows.
 */
const rowsPerCopiedNumber = 128;

function isStack(name: string): boolean {
  return name.endsWith(downSuffix) || name.endsWith(upSuffix) || name === shapeTables;
}

function paddedRank(rank: number): number {
  return rank === 0 ? 0 : Math.max(rankMin, 2 ** Math.ceil(Math.log2(rank)));
}

/** @throws RuntimeError for a graph that has no stacks */
function sizesOf({ inputs }: Pick<Session, "inputs">): Map<string, LayerSize> {
  const sizes = new Map<string, LayerSize>();
  for (const { name, shape } of inputs) {
    if (!name.endsWith(downSuffix)) continue;
    const layer = name.slice(0, -downSuffix.length);
    const up = inputs.find((each) => each.name === `${layer}${upSuffix}`);
    sizes.set(layer, { inputs: Number(shape[1]), outputs: Number(up?.shape[2]) });
  }
  if (sizes.size === 0) throw new RuntimeError("the graph takes no adapters");
  return sizes;
}

/** Numbers of a table of word shapes: [shapes, width]. */
function tableSizeOf({ inputs }: Pick<Session, "inputs">): { rows: number; columns: number } {
  const [, rows = 0, columns = 0] = inputs.find(({ name }) => name === shapeTables)?.shape ?? [];
  return { rows: Number(rows), columns: Number(columns) };
}

/** The same matrices [slots, rows, columns], each with room for more. */
function widened(
  from: Float32Array,
  before: { slots: number; rows: number; columns: number },
  after: { slots: number; rows: number; columns: number },
): Float32Array<ArrayBuffer> {
  const to = new Float32Array(after.slots * after.rows * after.columns);
  for (let slot = 0; slot < before.slots; slot += 1) {
    for (let row = 0; row < before.rows; row += 1) {
      const at = (slot * before.rows + row) * before.columns;
      to.set(from.subarray(at, at + before.columns), (slot * after.rows + row) * after.columns);
    }
  }
  return to;
}

export class LoraSession implements EncoderSession, Session {
  readonly #session: Session;
  readonly #stacks = new Map<string, Stack>();
  readonly #table: { readonly rows: number; readonly columns: number };
  /** Of word shapes, [slots, shapes, width]. */
  #tables: Float32Array<ArrayBuffer>;
  /** Of each adapter. */
  readonly #slots = new Map<number, number>();
  readonly #running = new Set<Promise<unknown>>();
  readonly #free: number[] = [];
  #slotCount = 1;
  #adapters = 0;
  #feeds: Record<string, Tensor> = {};
  readonly provider;
  readonly concurrency;
  readonly inputs;
  readonly outputs;

  /** @param session of a graph with stacks; released with this */
  constructor(session: Session) {
    const { provider, concurrency, inputs, outputs } = session;
    this.#session = session;
    const empty = { rank: 0, down: new Float32Array(), up: new Float32Array() };
    for (const [layer, size] of sizesOf(session)) this.#stacks.set(layer, { ...size, ...empty });
    this.#table = tableSizeOf(session);
    this.#tables = new Float32Array(this.#tableLength);
    this.provider = provider;
    this.concurrency = concurrency;
    this.inputs = inputs.filter(({ name }) => !isStack(name));
    this.outputs = outputs;
    this.#refeed();
  }

  /** Layers that an adapter can have a part in. */
  get layers(): ReadonlyMap<string, LayerSize> {
    return this.#stacks;
  }

  /** Of the stacks. */
  get bytes(): number {
    return [...this.#stacks.values()].reduce((sum, { down, up }) => {
      return sum + down.byteLength + up.byteLength;
    }, this.#tables.byteLength);
  }

  get #tableLength(): number {
    return this.#table.rows * this.#table.columns;
  }

  /** What a group of rows takes for its adapter's part in a layer, the largest. */
  get groupBytes(): number {
    const numbers = [...this.#stacks.values()].map((stack) => {
      return stack.rank * (stack.inputs + stack.outputs);
    });
    return Math.max(...numbers) * Float32Array.BYTES_PER_ELEMENT;
  }

  /** What the stacks would grow by with an adapter more. @param parts by the names of layers, prefixes and all */
  growth(parts: readonly { readonly name: string; readonly rank: number }[]): number {
    const slots = this.#free.length > 0 ? this.#slotCount : 2 * this.#slotCount;
    let bytes = slots * this.#tableLength * Float32Array.BYTES_PER_ELEMENT;
    for (const [layer, { inputs, outputs, rank }] of this.#stacks) {
      const part = parts.find(({ name }) => name.endsWith(layer));
      const wide = Math.max(rank, paddedRank(part?.rank ?? 0));
      bytes += slots * wide * (inputs + outputs) * Float32Array.BYTES_PER_ELEMENT;
    }
    return bytes - this.bytes;
  }

  get groupOverheadRows(): number {
    let copied = 0;
    let weights = 0;
    for (const { rank, inputs, outputs } of this.#stacks.values()) {
      copied += rank * (inputs + outputs);
      weights += inputs * outputs;
    }
    return (rowsPerCopiedNumber * copied) / weights;
  }

  /**
   * @param layers by name, of the sizes that `layers` says
   * @param table of word shapes, [shapes, width]; null: it reads none
   * @returns the adapter's number
   * @throws Error for a table of another size
   */
  add(layers: ReadonlyMap<string, LoraMatrices>, table: Float32Array | null = null): number {
    const { rows, columns } = this.#table;
    if (table !== null && table.length !== this.#tableLength) {
      throw new Error(
        `its table of word shapes holds ${table.length} numbers, not the ${rows} × ${columns} of its base`,
      );
    }
    const slot = this.#free.pop() ?? this.#newSlot();
    const from = slot * this.#tableLength;
    this.#tables.subarray(from, from + this.#tableLength).fill(0);
    if (table !== null) this.#tables.set(table, from);
    for (const [layer, stack] of this.#stacks) this.#write(stack, slot, layers.get(layer) ?? null);
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

  async run(
    feeds: Record<string, Tensor>,
    options: RunOptions = {},
  ): Promise<Record<string, Tensor>> {
    const slots = this.#slotsOf(feeds["lora_slots"]);
    const run = this.#session.run({ ...feeds, ...this.#feeds, lora_slots: slots }, options);
    this.#running.add(run);
    try {
      return await run;
    } finally {
      this.#running.delete(run);
    }
  }

  release(): Promise<void> {
    return this.#session.release();
  }

  /** @throws RuntimeError for an adapter that has gone */
  #slotsOf(adapters: Tensor | undefined): Tensor {
    if (adapters?.dtype !== "int64") throw new RuntimeError("lora_slots is int64");
    const slots = adapters.data.map((adapter) => {
      const slot = adapter === 0n ? 0 : this.#slots.get(Number(adapter));
      if (slot === undefined) throw new RuntimeError(`adapter ${adapter} was removed`);
      return BigInt(slot);
    });
    return { ...adapters, data: slots };
  }

  /** Stacks grow by doubling. Runs under way keep those that they were given. */
  #newSlot(): number {
    const slot = this.#slotCount;
    const grown = 2 * slot;
    for (const stack of this.#stacks.values()) this.#resize(stack, grown, stack.rank);
    this.#tables = widened(
      this.#tables,
      { slots: slot, ...this.#table },
      { slots: grown, ...this.#table },
    );
    for (let more = grown - 1; more > slot; more -= 1) this.#free.push(more);
    this.#slotCount = grown;
    return slot;
  }

  #resize(stack: Stack, slots: number, rank: number): void {
    const { inputs, outputs } = stack;
    const before = { slots: this.#slotCount, rank: stack.rank };
    stack.down = widened(
      stack.down,
      { slots: before.slots, rows: inputs, columns: before.rank },
      { slots, rows: inputs, columns: rank },
    );
    stack.up = widened(
      stack.up,
      { slots: before.slots, rows: before.rank, columns: outputs },
      { slots, rows: rank, columns: outputs },
    );
    stack.rank = rank;
  }

  #write(stack: Stack, slot: number, matrices: LoraMatrices | null): void {
    const rank = paddedRank(matrices?.rank ?? 0);
    if (rank > stack.rank) this.#resize(stack, this.#slotCount, rank);
    const { inputs, outputs } = stack;
    const downSize = inputs * stack.rank;
    const down = stack.down.subarray(slot * downSize, (slot + 1) * downSize).fill(0);
    const upSize = stack.rank * outputs;
    const up = stack.up.subarray(slot * upSize, (slot + 1) * upSize).fill(0);
    if (matrices === null) return;
    const { rank: own } = matrices;
    for (let row = 0; row < inputs; row += 1) {
      down.set(matrices.down.subarray(row * own, (row + 1) * own), row * stack.rank);
    }
    up.set(matrices.up);
  }

  #refeed(): void {
    const stacks = [...this.#stacks].flatMap(([layer, { inputs, outputs, rank, down, up }]) => {
      const slots = this.#slotCount;
      return [
        [`${layer}${downSuffix}`, tensor("float32", [slots, inputs, rank], down)],
        [`${layer}${upSuffix}`, tensor("float32", [slots, rank, outputs], up)],
      ] as const;
    });
    const { rows, columns } = this.#table;
    const tables =
      rows === 0
        ? []
        : [
            [
              shapeTables,
              tensor("float32", [this.#slotCount, rows, columns], this.#tables),
            ] as const,
          ];
    this.#feeds = Object.fromEntries([...stacks, ...tables]);
  }
}
