/**
 * A sentence encoder small enough to check by hand: whitespace-separated numbers are the tokens, 1 and 2 the special
 * tokens. `pooled` of a sequence is [sum of ids, tokens], both of the tokens the mask shows; `sentence_embedding` is
 * the same at length 1; `last_hidden_state` of a token is [id, segment]. With a classifier on top, `logits` are what a
 * function of the shown tokens says.
 */
import type { EncoderModel } from "../../gpu-worker/model/encoder-model.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";
import type { EncodeOptions, Tokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";

const numbersOf = (text: string) => text.split(/\s+/).filter(Boolean).map(Number);

function encode(text: string, { tokensMax = Infinity, from = "start" }: EncodeOptions = {}) {
  const ids = numbersOf(text);
  const kept = from === "start" ? ids.slice(0, tokensMax + 1) : ids.slice(-tokensMax - 1);
  return { ids: kept, offsets: null, words: null, complete: kept.length === ids.length };
}

const tokenizer: Tokenizer = {
  encode: (texts, options) => Promise.resolve(texts.map((text) => encode(text, options))),
  decode: (ids) => ids.join(" "),
  decodeAll: (lists) => Promise.resolve(lists.map((ids) => ids.join(" "))),
  token: (id) => ({ text: String(id), bytes: null, special: id === 1 || id === 2 }),
  idOfToken: (token) => (/^\d+$/.test(token) ? Number(token) : null),
  wrap(first, second) {
    const ids = second === undefined ? [1, ...first, 2] : [1, ...first, 2, ...second, 2];
    const split = first.length + 2;
    return {
      ids,
      typeIds: ids.map((_, at) => (at < split ? 0 : 1)),
      starts: second === undefined ? [1] : [1, split],
    };
  },
  isWrapped: (ids) => ids.length > 1 && ids[0] === 1 && ids.at(-1) === 2,
  unwrap: (ids) => (ids[0] === 1 && ids.at(-1) === 2 ? ids.slice(1, -1) : [...ids]),
  specialTokens: { single: 2, pair: 3 },
  mask: null,
  unknownId: null,
  paddingId: 0,
  marksContinuation: false,
  lowersCase: false,
  vocabularySize: 1_000,
};

export type ToyEncoder = EncoderModel & {
  /** Sizes of the batches run: [rows, columns]. */
  readonly runs: [number, number][];
  /** Awaited by every run before it answers. */
  gate: (signal: AbortSignal) => Promise<void>;
};

/** A sequence as the mask shows it. */
export type ToyRow = { ids: number[]; types: number[] };

/** By class. */
export type ToyLogits = (row: ToyRow) => number[];

export function toyEncoder(maxTokens = 16, logitsOf: ToyLogits = () => []): ToyEncoder {
  const encoder: ToyEncoder = {
    kind: "encoder",
    id: "toy",
    digest: "toy-digest",
    limits: { maxTokens, dimensions: 2, vocabularySize: 1_000 },
    tokenizer,
    tasks: ["feature-extraction", "sentence-similarity"],
    head: { name: "none" },
    entityModel: null,
    sentence: { pooling: "mean", normalize: true, prompts: { query: "7 8 " } },
    runs: [],
    gate: () => Promise.resolve(),
    session: {
      concurrency: 1,
      inputs: [{ name: "input_ids" }, { name: "attention_mask" }, { name: "token_type_ids" }],
      outputs: ["pooled", "sentence_embedding", "last_hidden_state", "logits"].map((name) => ({
        name,
      })),
      async run(feeds, { outputs, signal }) {
        await encoder.gate(signal);
        signal.throwIfAborted();
        const rows = shownRows(feeds);
        const [count = 0, columns = 0] = feeds["input_ids"]?.shape ?? [];
        encoder.runs.push([count, columns]);
        const pooled = rows.map(({ ids }) => [ids.reduce((a, b) => a + b, 0), ids.length]);
        const all: Record<string, () => Tensor> = {
          pooled: () => toTensor(pooled),
          sentence_embedding: () => toTensor(pooled.map(unit)),
          last_hidden_state: () => statesOf(rows, columns),
          logits: () => toTensor(rows.map(logitsOf)),
        };
        return Object.fromEntries(
          outputs.flatMap((name) => {
            const make = all[name];
            return make === undefined ? [] : [[name, make()]];
          }),
        );
      },
    },
  };
  return encoder;
}

function shownRows(feeds: Record<string, Tensor>): ToyRow[] {
  const ids = feeds["input_ids"];
  const mask = feeds["attention_mask"];
  const types = feeds["token_type_ids"];
  if (ids?.dtype !== "int64" || mask?.dtype !== "int64" || types?.dtype !== "int64") {
    throw new Error("three int64 feeds are wanted");
  }
  const [rows = 0, columns = 0] = ids.shape;
  return Array.from({ length: rows }, (_, row) => {
    const from = row * columns;
    const shown = (data: BigInt64Array) =>
      Array.from(data.slice(from, from + columns), Number).filter(
        (_id, column) => mask.data[from + column] === 1n,
      );
    return { ids: shown(ids.data), types: shown(types.data) };
  });
}

const unit = (vector: number[]) => vector.map((value) => value / Math.hypot(...vector));

function toTensor(vectors: number[][]): Tensor {
  return {
    dtype: "float32",
    shape: [vectors.length, vectors[0]?.length ?? 0],
    data: Float32Array.from(vectors.flat()),
  };
}

/** Padding holds 777, which no answer may show. */
function statesOf(rows: ToyRow[], columns: number): Tensor {
  const states = rows.flatMap(({ ids, types }) =>
    Array.from({ length: columns }, (_, at) => [ids[at] ?? 777, types[at] ?? 777]),
  );
  return {
    dtype: "float32",
    shape: [rows.length, columns, 2],
    data: Float32Array.from(states.flat()),
  };
}
