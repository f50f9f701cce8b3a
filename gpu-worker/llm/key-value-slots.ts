/**
 * Memory for the keys and values of texts side by side: of each layer [slots, heads, tokens, width], so that
 * neighbouring slots are the past of one batch, updated in place. On a CPU a slot takes memory as it is written, so
 * that all slots are as long as the longest text and none is ever moved to a larger one. The logits have memory of
 * their own, too: in a new array for each run they kept the garbage collector busy for 2 ms of a step.
 */
import type { DecoderModel } from "../model/decoder-model.ts";
import { type LogitBlocks, logitBlockNames, logitBlocksOf } from "../model/logit-blocks.ts";
import { isVirtual } from "../model/virtual-tokens.ts";
import type {
  AllocatedValue,
  Binding,
  BoundSession,
  ResidentValue,
} from "../runtime/bound-session.ts";
import type { LoadedSession, ValueInfo } from "../runtime/session.ts";
import { bytesPerElement } from "../tensor/dtype.ts";
import type { DType } from "../tensor/dtype.ts";
import type { Shape } from "../tensor/shape.ts";
import { type Tensor, tensor } from "../tensor/tensor.ts";
import { CapturedSteps } from "./captured-steps.ts";
import type { LogitRows } from "./logit-rows.ts";

export type SlotsShape = {
  readonly slots: number;
  /** Of each slot. */
  readonly tokens: number;
  /** Tokens whose logits one run gives at most. */
  readonly askedMax: number;
};

type Logits = {
  readonly value: AllocatedValue;
  readonly vocabulary: number;
  /** Of the last run. */
  readonly copy: Float32Array;
};

type Held = {
  readonly layers: readonly Layer[];
  readonly logits: Logits;
  readonly captured: CapturedSteps | null;
};

type Layer = {
  readonly past: string;
  readonly heads: number;
  readonly width: number;
  readonly value: AllocatedValue;
};

/** To bind one takes half a millisecond. */
const windowsMax = 64;

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

/** Of the logits: a model may have more of them than it has tokens. */
export function vocabularyOf({ outputs }: Pick<LoadedSession, "outputs">): number {
  const info = outputs.find(({ name }) => name === "logits");
  const width = info?.shape[1];
  if (info?.dtype !== "float32" || typeof width !== "number") {
    throw new TypeError("a decoder gives logits as float32, of a fixed width");
  }
  return width;
}

export function takesAdapters({ inputs }: Pick<LoadedSession, "inputs">): boolean {
  return inputs.some(({ name }) => name === "lora_slots");
}

/** Neighbouring slots, and for how many tokens of a run over them logits are wanted. */
export type Window = {
  readonly first: number;
  readonly count: number;
  /** Of a piece of a prompt that is read beside them, which may lie among them; null: none is. */
  readonly piece: number | null;
  readonly asked: number;
};

type Sessions = Pick<DecoderModel, "session" | "logitBlocks" | "steps">;

/** Whether it is a step of one token of each text, as most are. */
function isPlainStep({ count, piece, asked }: Window, { input_ids: ids }: Feeds): boolean {
  const [rows, columns] = ids?.shape ?? [];
  const fits = piece === null && asked === count && rows === count && columns === 1;
  return fits && !Array.from(ids?.data ?? [], Number).some(isVirtual);
}

type Feeds = Record<string, Tensor>;

export type SlotsRun = {
  readonly signal: AbortSignal;
  /** Of each token asked for, where one is drawn from all that there are; null: none is. See model/logit-blocks.ts. */
  readonly inverseTemperatures: Float32Array<ArrayBuffer> | null;
};

export class KeyValueSlots {
  readonly #session: LoadedSession;
  readonly #shape: SlotsShape;
  readonly #layers: readonly Layer[];
  readonly #logits: Logits;
  readonly #logitBlocks: LoadedSession | null;
  readonly #captured: { readonly steps: CapturedSteps; readonly session: LoadedSession } | null;
  /** By how many rows they are of. */
  readonly #blocks = new Map<number, BoundSession>();
  /** By all that a window says; the one used last is the last. */
  readonly #windows = new Map<string, BoundSession>();

  private constructor(
    { session, logitBlocks, steps }: Sessions,
    shape: SlotsShape,
    { layers, logits, captured }: Held,
  ) {
    this.#session = session;
    this.#logitBlocks = logitBlocks ?? null;
    this.#captured = captured && steps ? { steps: captured, session: steps.session } : null;
    this.#shape = shape;
    this.#layers = layers;
    this.#logits = logits;
  }

  /** Its texts have adapters. Such runs are never mixed: each text's tokens are a row of the batch. */
  get takesAdapters(): boolean {
    return takesAdapters(this.#session);
  }

  static async open(sessions: Sessions, shape: SlotsShape): Promise<KeyValueSlots> {
    const { session } = sessions;
    const values: AllocatedValue[] = [];
    const allocate = async (dtype: DType, size: Shape) => {
      const value = await session.allocate(dtype, size);
      values.push(value);
      return value;
    };
    try {
      const layers: Layer[] = [];
      for (const info of pastInputs(session)) {
        const { heads, width } = sizesOf(info);
        const value = await allocate(info.dtype, [shape.slots, heads, shape.tokens, width]);
        layers.push({ past: info.name, heads, width, value });
      }
      const vocabulary = vocabularyOf(session);
      const value = await allocate("float32", [shape.askedMax, vocabulary]);
      const copy = new Float32Array(shape.askedMax * vocabulary);
      const steps = takesAdapters(session) ? undefined : sessions.steps;
      const captured = steps ? new CapturedSteps(steps, shape) : null;
      const logits = { value, vocabulary, copy };
      return new KeyValueSlots(sessions, shape, { layers, logits, captured });
    } catch (error) {
      await Promise.all(values.map((value) => value.release()));
      throw error;
    }
  }

  /** Runs the session over `count` slots from `first` on. */
  async run(
    window: Window,
    feeds: Feeds,
    { signal, inverseTemperatures }: SlotsRun,
  ): Promise<LogitRows> {
    const { asked } = window;
    const { value, vocabulary, copy } = this.#logits;
    const bound = this.#bound(window);
    await this.#forget();
    const plain = () => bound.run(feeds, { signal });
    await this.#compute(window, feeds, plain);
    const logits = copy.subarray(0, asked * vocabulary);
    if (asked === 0) return { logits, blocks: null };
    const [blocks] = await Promise.all([
      inverseTemperatures && this.#sum(inverseTemperatures),
      value.view(0, [asked, vocabulary]).readInto(logits),
    ]);
    return { logits, blocks };
  }

  async #compute(window: Window, feeds: Feeds, plain: () => Promise<unknown>): Promise<unknown> {
    if (this.#captured === null || !isPlainStep(window, feeds)) return plain();
    const { steps, session } = this.#captured;
    const { value, vocabulary } = this.#logits;
    return steps.run({
      first: window.first,
      texts: window.count,
      feeds,
      binding: () => this.#binding(session, window),
      logits: value.view(0, [window.count, vocabulary]),
      plain,
    });
  }

  async #sum(inverse: Float32Array<ArrayBuffer>): Promise<LogitBlocks | null> {
    if (this.#logitBlocks === null) return null;
    const { length } = inverse;
    const bound = this.#blocks.get(length) ?? this.#bindBlocks(this.#logitBlocks, length);
    this.#blocks.set(length, bound);
    const fed = { [logitBlockNames.inverseTemperatures]: tensor("float32", [length], inverse) };
    return logitBlocksOf(await bound.run(fed));
  }

  #bindBlocks(session: LoadedSession, rows: number): BoundSession {
    const { value, vocabulary } = this.#logits;
    const { logits, maxima, sums } = logitBlockNames;
    return session.bind({
      inputs: { [logits]: value.view(0, [rows, vocabulary]) },
      outputs: { [maxima]: "host", [sums]: "host" },
    });
  }

  #bound(window: Window): BoundSession {
    const key = `${window.first} ${window.count} ${window.piece} ${window.asked}`;
    const bound = this.#windows.get(key) ?? this.#bind(window);
    this.#windows.delete(key);
    this.#windows.set(key, bound);
    return bound;
  }

  /** Unbinds the window used longest ago where there are many. */
  async #forget(): Promise<void> {
    const [oldest] = this.#windows;
    if (oldest === undefined || this.#windows.size <= windowsMax) return;
    this.#windows.delete(oldest[0]);
    await oldest[1].release();
  }

  #bind(window: Window): BoundSession {
    return this.#session.bind(this.#binding(this.#session, window));
  }

  /** Of a session of the same weights, which may take no pieces. */
  #binding({ inputs }: Pick<LoadedSession, "inputs">, window: Window): Binding {
    const { first, count, piece, asked } = window;
    const { tokens } = this.#shape;
    const pasts = this.#layers.map(({ past, heads, width, value }): [string, ResidentValue] => {
      const shape = [count, heads, tokens, width];
      return [past, value.view(first * heads * tokens * width, shape)];
    });
    const pieces = this.#layers.map(({ past, heads, width, value }): [string, ResidentValue] => {
      const shape = [1, heads, piece === null ? 0 : tokens, width];
      return [`piece.${past}`, value.view((piece ?? 0) * heads * tokens * width, shape)];
    });
    const written = [...pasts, ...(piece === null ? [] : pieces)];
    const { value, vocabulary } = this.#logits;
    const taken = [...pasts, ...pieces].filter(([past]) =>
      inputs.some(({ name }) => name === past),
    );
    return {
      inputs: Object.fromEntries(taken),
      outputs: {
        ...Object.fromEntries(written.map(([past, each]) => [presentOf(past), each])),
        ...(asked > 0 && { logits: value.view(0, [asked, vocabulary]) }),
      },
      sharing: piece !== null,
    };
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
    const bound = [...this.#windows.values(), ...this.#blocks.values()];
    await Promise.all([...bound.map((each) => each.release()), this.#captured?.steps.release()]);
    const values = [...this.#layers, this.#logits].map(({ value }) => value);
    await Promise.all(values.map((value) => value.release()));
  }
}
