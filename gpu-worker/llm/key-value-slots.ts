/**
 * Memory for the keys and values of texts side by side: of each layer [slots, heads, tokens, width], so that
 * neighbouring slots are the past of one batch, updated in place. On a CPU a slot takes memory as it is written, so
 * that all slots are as long as the longest text and none is ever moved to a larger one.
 */
import type { AllocatedValue, BoundSession, ResidentValue } from "../runtime/bound-session.ts";
import type { LoadedSession, ValueInfo } from "../runtime/session.ts";
import { bytesPerElement } from "../tensor/dtype.ts";

export type SlotsShape = {
  readonly slots: number;
  /** Of each slot. */
  readonly tokens: number;
};

type Layer = {
  readonly past: string;
  readonly heads: number;
  readonly width: number;
  readonly value: AllocatedValue;
};

const pastPrefix = "past_key_values.";
const presentOf = (past: string) => past.replace("past_key_values", "present");

function pastInputs(session: Pick<LoadedSession, "inputs">): readonly ValueInfo[] {
  return session.inputs.filter(({ name }) => name.startsWith(pastPrefix));
}

/** Heads and width of an input [batch, heads, past, width]. */
function sizesOf({ name, shape }: ValueInfo): { heads: number; width: number } {
  const [, heads, , width] = shape;
  if (typeof heads !== "number" || typeof width !== "number") {
    throw new TypeError(`${name} is [${shape}]: its heads and their width must be fixed`);
  }
  return { heads, width };
}

/** Bytes of the keys and values of one token, in all layers. */
export function bytesPerToken(session: Pick<LoadedSession, "inputs">): number {
  const bytes = pastInputs(session).map((info) => {
    const { heads, width } = sizesOf(info);
    return heads * width * bytesPerElement(info.dtype);
  });
  return bytes.reduce((sum, each) => sum + each, 0);
}

export class KeyValueSlots {
  readonly #session: LoadedSession;
  readonly #shape: SlotsShape;
  readonly #layers: readonly Layer[];
  /** By their first slot and their number. */
  readonly #windows = new Map<string, BoundSession>();

  private constructor(session: LoadedSession, shape: SlotsShape, layers: readonly Layer[]) {
    this.#session = session;
    this.#shape = shape;
    this.#layers = layers;
  }

  static async open(session: LoadedSession, shape: SlotsShape): Promise<KeyValueSlots> {
    const layers: Layer[] = [];
    try {
      for (const info of pastInputs(session)) {
        const { heads, width } = sizesOf(info);
        const size = [shape.slots, heads, shape.tokens, width];
        const value = await session.allocate(info.dtype, size);
        layers.push({ past: info.name, heads, width, value });
      }
    } catch (error) {
      await Promise.all(layers.map(({ value }) => value.release()));
      throw error;
    }
    return new KeyValueSlots(session, shape, layers);
  }

  /** The session over `count` slots from `first` on, which gives the logits. */
  window(first: number, count: number): BoundSession {
    const key = `${first} ${count}`;
    const window = this.#windows.get(key) ?? this.#bind(first, count);
    this.#windows.set(key, window);
    return window;
  }

  #bind(first: number, count: number): BoundSession {
    const { tokens } = this.#shape;
    const pasts = this.#layers.map(({ past, heads, width, value }): [string, ResidentValue] => {
      const shape = [count, heads, tokens, width];
      return [past, value.view(first * heads * tokens * width, shape)];
    });
    const presents = pasts.map(([past, value]) => [presentOf(past), value] as const);
    return this.#session.bind({
      inputs: Object.fromEntries(pasts),
      outputs: { ...Object.fromEntries(presents), logits: "host" },
    });
  }

  /** Copies the first `tokens` of one slot to another. No run may use either meanwhile. */
  async copy(from: number, to: number, tokens: number): Promise<void> {
    const copies = this.#layers.flatMap(({ heads, width, value }) =>
      Array.from({ length: heads }, (_, head) => {
        const part = (slot: number) =>
          value.view((slot * heads + head) * this.#shape.tokens * width, [tokens, width]);
        return part(to).copyFrom(part(from));
      }),
    );
    await Promise.all(copies);
  }

  /** What the slot holds is lost, and the machine has its memory back. */
  async discard(slot: number): Promise<void> {
    const { tokens } = this.#shape;
    await Promise.all(
      this.#layers.map(({ heads, width, value }) =>
        value.view(slot * heads * tokens * width, [heads, tokens, width]).discard(),
      ),
    );
  }

  /** Waits for the runs, then frees all. */
  async release(): Promise<void> {
    await Promise.all(Array.from(this.#windows.values(), (window) => window.release()));
    await Promise.all(this.#layers.map(({ value }) => value.release()));
  }
}
