/**
 * A sentence encoder small enough to check by hand: whitespace-separated numbers are the tokens, 1 and 2 the special
 * tokens. `pooled` of a sequence is [sum of ids, tokens], both of the tokens the mask shows; `sentence_embedding` is
 * the same at length 1.
 */
import type { EncoderModel } from "../../gpu-worker/pipelines/encoder-model.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";
import type { Tokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";

const numbersOf = (text: string) => text.split(/\s+/).filter(Boolean).map(Number);

const tokenizer: Tokenizer = {
  encode: (texts) =>
    Promise.resolve(
      texts.map((text) => ({ ids: numbersOf(text), offsets: null, words: null, complete: true })),
    ),
  decode: (ids) => ids.join(" "),
  wrap(first, second) {
    const ids = second === undefined ? [1, ...first, 2] : [1, ...first, 2, ...second, 2];
    const split = first.length + 2;
    return {
      ids,
      typeIds: ids.map((_, at) => (at < split ? 0 : 1)),
      starts: second === undefined ? [1] : [1, split],
    };
  },
  unwrap: (ids) => (ids[0] === 1 && ids.at(-1) === 2 ? ids.slice(1, -1) : [...ids]),
  specialTokens: { single: 2, pair: 3 },
  mask: null,
  vocabularySize: 1_000,
};

export type ToyEncoder = EncoderModel & {
  /** Sizes of the batches run: [rows, columns]. */
  readonly runs: [number, number][];
  /** Awaited by every run before it answers. */
  gate: (signal: AbortSignal) => Promise<void>;
};

export function toyEncoder(maxTokens = 16): ToyEncoder {
  const encoder: ToyEncoder = {
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
      outputs: [{ name: "pooled" }, { name: "sentence_embedding" }],
      async run(feeds, { outputs, signal }) {
        await encoder.gate(signal);
        signal.throwIfAborted();
        const pooled = pool(feeds);
        const [rows = 0, columns = 0] = feeds["input_ids"]?.shape ?? [];
        encoder.runs.push([rows, columns]);
        const all = { pooled, sentence_embedding: pooled.map(unit) };
        return Object.fromEntries(
          Object.entries(all)
            .filter(([name]) => outputs.includes(name))
            .map(([name, vectors]) => [name, toTensor(vectors)]),
        );
      },
    },
  };
  return encoder;
}

function pool(feeds: Record<string, Tensor>): number[][] {
  const ids = feeds["input_ids"];
  const mask = feeds["attention_mask"];
  const types = feeds["token_type_ids"];
  if (ids?.dtype !== "int64" || mask?.dtype !== "int64" || types?.dtype !== "int64") {
    throw new Error("three int64 feeds are wanted");
  }
  const [rows = 0, columns = 0] = ids.shape;
  return Array.from({ length: rows }, (_, row) => {
    const from = row * columns;
    const shown = ids.data
      .slice(from, from + columns)
      .filter((_id, column) => mask.data[from + column] === 1n);
    return [shown.reduce((sum, id) => sum + Number(id), 0), shown.length];
  });
}

const unit = (vector: number[]) => vector.map((value) => value / Math.hypot(...vector));

function toTensor(vectors: number[][]): Tensor {
  return {
    dtype: "float32",
    shape: [vectors.length, 2],
    data: Float32Array.from(vectors.flat()),
  };
}
