/**
 * A sentence encoder small enough to check by hand: whitespace-separated numbers are the tokens, 1 and 2 the special
 * tokens. `pooled` of a sequence is [sum of ids, tokens], both of the tokens the mask shows; `sentence_embedding` is
 * the same at length 1.
 */
import type { SentenceEncoder } from "../../gpu-worker/pipelines/sentence-encoder.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";
import type { Tokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";

const numbersOf = (text: string) => text.split(/\s+/).filter(Boolean).map(Number);

const tokenizer: Tokenizer = {
  encode(text, { addSpecialTokens }) {
    const ids = addSpecialTokens ? [1, ...numbersOf(text), 2] : numbersOf(text);
    return { ids, typeIds: ids.map(() => 0) };
  },
  decode: (ids) => ids.join(" "),
  wrap: (ids) => [1, ...ids, 2],
  unwrap: (ids) => (ids[0] === 1 && ids.at(-1) === 2 ? ids.slice(1, -1) : [...ids]),
  specialTokens: 2,
  split: (text, charactersMax) =>
    text.length <= charactersMax ? [text] : text.split(/(?= )/).filter(Boolean),
  vocabularySize: 1_000,
};

export type ToyEncoder = SentenceEncoder & {
  readonly digest: string;
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
    sentence: { normalize: true, prompts: { query: "7 8 " } },
    runs: [],
    gate: () => Promise.resolve(),
    session: {
      concurrency: 1,
      inputs: [{ name: "input_ids" }, { name: "attention_mask" }, { name: "token_type_ids" }],
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
