/**
 * Sentence vectors beside a graph that gives only the tokens' hidden states: `pooled` and `sentence_embedding` as
 * sentence-head.ts computes them inside our own graphs, from `last_hidden_state` and the attention mask.
 */
import type { Pooling } from "../architectures/encoder-head.ts";
import type { Session } from "../runtime/session.ts";

type Feeds = Parameters<Session["run"]>[0];
type Outputs = Awaited<ReturnType<Session["run"]>>;
type Tensor = Feeds[string];

/** torch.nn.functional.normalize's. */
const leastLength = 1e-12;
/** sentence-transformers', for a text without tokens. */
const leastCount = 1e-9;
const farBelow = -1e30;

/** [batch, sequence, hidden] and [batch, sequence], flat. */
type States = { data: Float32Array; mask: BigInt64Array; sequence: number; hidden: number };

/** Adds a text's vector to `to` [hidden], which holds zeros. */
type Pool = (states: States, row: number, to: Float32Array) => void;

/** Calls `each` with where the vector of each token begins. */
function eachToken(
  { mask, sequence, hidden }: States,
  row: number,
  each: (from: number) => void,
): number {
  let count = 0;
  for (let at = row * sequence; at < (row + 1) * sequence; at += 1) {
    if (mask[at] !== 1n) continue;
    each(at * hidden);
    count += 1;
  }
  return count;
}

const poolings: { readonly [P in Pooling]: Pool } = {
  mean(states, row, to) {
    const { data, hidden } = states;
    const sums = new Float64Array(hidden);
    const count = eachToken(states, row, (from) => {
      for (let at = 0; at < hidden; at += 1) sums[at] = (sums[at] ?? 0) + (data[from + at] ?? 0);
    });
    for (const [at, sum] of sums.entries()) to[at] = sum / Math.max(count, leastCount);
  },
  cls({ data, sequence, hidden }, row, to) {
    const from = row * sequence * hidden;
    to.set(data.subarray(from, from + hidden));
  },
  max(states, row, to) {
    const { data, hidden } = states;
    to.fill(farBelow);
    eachToken(states, row, (from) => {
      for (let at = 0; at < hidden; at += 1) {
        to[at] = Math.max(to[at] ?? farBelow, data[from + at] ?? NaN);
      }
    });
  },
};

/** [batch, hidden], each row scaled to length 1. */
function scaled(rows: Float32Array, hidden: number): Float32Array<ArrayBuffer> {
  const result = Float32Array.from(rows);
  for (let from = 0; from < rows.length; from += hidden) {
    const row = result.subarray(from, from + hidden);
    const squares = row.reduce((sum, value) => sum + value * value, 0);
    const length = Math.max(Math.sqrt(squares), leastLength);
    for (const [at, value] of row.entries()) row[at] = value / length;
  }
  return result;
}

function statesOf(states: Tensor | undefined, mask: Tensor | undefined): States {
  const [batch = 0, sequence = 0, hidden = 0, ...more] = states?.shape ?? [];
  const fits = more.length === 0 && mask?.shape.join() === [batch, sequence].join();
  if (states?.dtype === "float32" && mask?.dtype === "int64" && fits) {
    return { data: states.data, mask: mask.data, sequence, hidden };
  }
  throw new TypeError(
    `last_hidden_state [${states?.shape.join(", ") ?? ""}] does not fit attention_mask [${mask?.shape.join(", ") ?? ""}]`,
  );
}

export type PooledOptions = { pooling: Pooling; normalize: boolean; hidden: number };

/** @param session with an input attention_mask and an output last_hidden_state */
export function pooledSession(
  session: Session,
  { pooling, normalize, hidden }: PooledOptions,
): Session {
  const pool = poolings[pooling];

  function vectorsOf(states: States): Float32Array<ArrayBuffer> {
    const rows = states.mask.length / Math.max(1, states.sequence);
    const pooled = new Float32Array(rows * states.hidden);
    for (let row = 0; row < rows; row += 1) {
      const from = row * states.hidden;
      pool(states, row, pooled.subarray(from, from + states.hidden));
    }
    return pooled;
  }

  return {
    provider: session.provider,
    concurrency: session.concurrency,
    inputs: session.inputs,
    outputs: [
      { name: "pooled", dtype: "float32", shape: ["batch", hidden] },
      { name: "sentence_embedding", dtype: "float32", shape: ["batch", hidden] },
      ...session.outputs,
    ],
    async run(feeds, options = {}) {
      const { last_hidden_state: given } = await session.run(feeds, {
        ...options,
        outputs: ["last_hidden_state"],
      });
      const states = statesOf(given, feeds["attention_mask"]);
      const shape = [states.mask.length / Math.max(1, states.sequence), states.hidden];
      const pooled = vectorsOf(states);
      const all: Outputs = {
        pooled: { dtype: "float32", shape, data: pooled },
        sentence_embedding: {
          dtype: "float32",
          shape,
          data: normalize ? scaled(pooled, states.hidden) : Float32Array.from(pooled),
        },
        ...(given === undefined ? {} : { last_hidden_state: given }),
      };
      const wanted = options.outputs;
      if (wanted === undefined) return all;
      return Object.fromEntries(Object.entries(all).filter(([name]) => wanted.includes(name)));
    },
    release: () => session.release(),
  };
}
