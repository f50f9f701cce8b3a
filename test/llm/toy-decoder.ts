/**
 * A decoder without arithmetic, as a session: what it keeps of a token is the token, and the next one follows from all
 * that it finds in its memory. So whatever is wrong in a slot, one copied too few or written by another, shows in what
 * is generated. Every run and copy is watched for others that use the same memory.
 */
import { expect } from "vitest";
import type {
  AllocatedValue,
  Binding,
  BoundSession,
  ResidentValue,
} from "../../gpu-worker/runtime/bound-session.ts";
import type { LoadedSession } from "../../gpu-worker/runtime/session.ts";
import { elementCount, type Shape } from "../../gpu-worker/tensor/shape.ts";
import { float32, type Tensor } from "../../gpu-worker/tensor/tensor.ts";

export const toyVocabulary = 50;
/** Two heads, so that a slot is not one piece. */
const [heads, width] = [2, 1];

/** Logits after these tokens. */
export function toyLogits(tokens: readonly number[]): Float32Array {
  let state = 17;
  for (const token of tokens) state = (Math.imul(state, 31) + token + 1) >>> 0;
  return Float32Array.from({ length: toyVocabulary }, (_, token) => {
    const mixed = Math.imul(state ^ (token * 0x9e3779b9), 0x85ebca6b) >>> 0;
    return (mixed / 2 ** 32) * 8;
  });
}

class ToyValue implements AllocatedValue {
  readonly dtype = "float32";
  readonly decoder: ToyDecoder;
  readonly data: Float32Array;
  readonly from: number;
  readonly shape: Shape;

  constructor(decoder: ToyDecoder, shape: Shape, data?: Float32Array, from = 0) {
    this.decoder = decoder;
    this.shape = shape;
    this.data = data ?? new Float32Array(elementCount(shape)).fill(NaN);
    this.from = from;
  }

  get length(): number {
    return elementCount(this.shape);
  }

  view(offset: number, shape: Shape): ToyValue {
    expect(offset + elementCount(shape)).toBeLessThanOrEqual(this.length);
    return new ToyValue(this.decoder, shape, this.data, this.from + offset);
  }

  async write({ data }: Tensor): Promise<void> {
    this.data.set(Float32Array.from(data as Float32Array), this.from);
  }

  async read(): Promise<Tensor> {
    return float32(this.shape, this.data.subarray(this.from, this.from + this.length));
  }

  async readInto(data: ArrayBufferView): Promise<void> {
    expect(data.byteLength).toBe(this.length * 4);
    expect(data).toBeInstanceOf(Float32Array);
    if (data instanceof Float32Array) {
      data.set(this.data.subarray(this.from, this.from + this.length));
    }
  }

  async copyFrom(source: ResidentValue): Promise<void> {
    expect(source).toBeInstanceOf(ToyValue);
    if (!(source instanceof ToyValue)) return;
    expect(source.shape).toEqual(this.shape);
    this.decoder.copied += 1;
    await this.decoder.exclusively(async () => {
      const values = source.data.subarray(source.from, source.from + source.length);
      this.data.set(values, this.from);
    });
  }

  async discard(): Promise<void> {
    await this.decoder.exclusively(async () => {
      this.data.fill(NaN, this.from, this.from + this.length);
    });
  }

  async release(): Promise<void> {
    this.decoder.values.delete(this);
    this.data.fill(NaN);
  }
}

/**
 * Writes a text's new tokens to its slot of a batch.
 * @returns all that its slot holds then
 */
function update(
  values: readonly ToyValue[],
  text: number,
  { fresh, length }: { fresh: readonly number[]; length: number },
): () => readonly number[] {
  const room = values[0]?.shape[2] ?? 0;
  expect(length).toBeLessThanOrEqual(room);
  for (const past of values) {
    for (let head = 0; head < heads; head += 1) {
      past.data.set(fresh, past.from + (text * heads + head) * room + length - fresh.length);
    }
  }
  return () => {
    const [keys = [], known] = values.map(({ data, from }) => {
      const at = from + (text * heads + 1) * room;
      return Array.from(data.subarray(at, at + length));
    });
    expect(keys).toEqual(known);
    return keys;
  };
}

type ToyPasts = { texts: readonly ToyValue[]; piece: readonly ToyValue[] };

/** Texts and new tokens of each, and those of a piece beside them. */
export type ToyRun = { texts: number; tokens: number; piece?: number };

export class ToyDecoder implements LoadedSession {
  provider: LoadedSession["provider"] = "cpu";
  readonly concurrency = 1;
  readonly inputs: LoadedSession["inputs"] = [
    { name: "input_ids", dtype: "int64", shape: ["batch", "sequence"] },
    ...["", "piece."].flatMap((prefix) =>
      ["key", "value"].map((kind) => ({
        name: `${prefix}past_key_values.0.${kind}`,
        dtype: "float32" as const,
        shape: ["batch", heads, "past", width],
      })),
    ),
  ];
  readonly outputs: LoadedSession["outputs"] = [
    { name: "logits", dtype: "float32", shape: ["asked", toyVocabulary] },
  ];
  /** Allocated and not released. */
  readonly values = new Set<ToyValue>();
  readonly runs: ToyRun[] = [];
  copied = 0;
  /** Awaited in each run; what it throws, the run throws. */
  gate: (run: ToyRun) => Promise<void> = () => new Promise((resolve) => setImmediate(resolve));
  /** Changes the logits of a text. */
  bend: (tokens: readonly number[], logits: Float32Array) => Float32Array = (_, logits) => logits;
  #busy = 0;

  /** Tokens for which a slot has taken memory: written and not discarded. */
  get heldTokens(): number {
    const [keys] = this.values;
    const written = keys?.data.reduce((sum, value) => sum + (Number.isNaN(value) ? 0 : 1), 0) ?? 0;
    return written / (heads * width);
  }

  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    expect(this.#running).toBe(false);
    this.#busy += 1;
    try {
      return await work();
    } finally {
      this.#busy -= 1;
    }
  }

  #running = false;

  async allocate(_: string, shape: Shape): Promise<AllocatedValue> {
    const value = new ToyValue(this, shape);
    this.values.add(value);
    return value;
  }

  bind({ inputs = {}, outputs }: Binding): BoundSession {
    const all = Object.entries(inputs).flatMap(([name, value]) => {
      const isEmpty = value.shape[2] === 0;
      expect(outputs[name.replace("past_key_values", "present")]).toBe(isEmpty ? undefined : value);
      return value instanceof ToyValue ? [value] : [];
    });
    expect(all).toHaveLength(4);
    const pasts = { texts: all.slice(0, 2), piece: all.slice(2) };
    return {
      run: async (feeds, { signal } = {}) => {
        const rows = await this.#run(pasts, feeds, signal);
        const { logits } = outputs;
        if (rows.length > 0) expect(logits).toBeInstanceOf(ToyValue);
        if (logits instanceof ToyValue) await logits.write(float32(logits.shape, rows));
        return {};
      },
      release: async () => {},
    };
  }

  async #run(
    pasts: ToyPasts,
    feeds: Record<string, Tensor>,
    signal?: AbortSignal,
  ): Promise<number[]> {
    signal?.throwIfAborted();
    expect([this.#running, this.#busy]).toEqual([false, 0]);
    this.#running = true;
    try {
      const [rows = 0, columns = 0] = feeds["input_ids"]?.shape ?? [];
      const texts = feeds["lengths"]?.shape[0] ?? 0;
      const isMixed = Number(feeds["piece_length"]?.data[0]) > 0;
      expect(rows).toBe(isMixed ? 1 : texts);
      const run = isMixed
        ? { texts, tokens: 1, piece: columns - texts }
        : { texts, tokens: columns };
      this.runs.push(run);
      await this.gate(run);
      signal?.throwIfAborted();
      return this.#compute(pasts, feeds, run);
    } finally {
      this.#running = false;
    }
  }

  #compute(
    pasts: ToyPasts,
    feeds: Record<string, Tensor>,
    { texts, tokens, piece = 0 }: ToyRun,
  ): number[] {
    const numbers = (name: string) => Array.from(feeds[name]?.data ?? [], Number);
    const [ids, lengths] = [numbers("input_ids"), numbers("lengths")];
    if (texts > 1) expect(tokens).toBe(1);
    expect(numbers("total_length")).toEqual([Math.max(...lengths)]);
    const known = lengths.map((length, text) =>
      update(pasts.texts, text, { fresh: ids.slice(text * tokens, (text + 1) * tokens), length }),
    );
    const fresh = ids.slice(texts * tokens);
    expect(fresh).toHaveLength(piece);
    const [end = 0] = numbers("piece_length");
    const own = piece === 0 ? null : update(pasts.piece, 0, { fresh, length: end });
    return numbers("positions").flatMap((position) => {
      const inPiece = position - texts * tokens;
      const [of, behind] =
        inPiece < 0
          ? [known[Math.floor(position / tokens)], tokens - 1 - (position % tokens)]
          : [own, piece - 1 - inPiece];
      const keys = of?.() ?? [];
      const text = keys.slice(0, keys.length - behind);
      return Array.from(this.bend(text, toyLogits(text)));
    });
  }

  run(): Promise<Record<string, Tensor>> {
    throw new Error("the engine binds what it runs");
  }

  async release(): Promise<void> {}
}
