/** A batch of rows through a session that tells what it was fed and answers with numbers that name their position. */
import { describe, expect, it } from "vitest";
import type { EncoderSession, OutputName } from "../../gpu-worker/model/encoder-session.ts";
import type { EncoderRow } from "../../gpu-worker/model/encoder-row.ts";
import { runRows } from "../../gpu-worker/model/run-rows.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";

const signal = new AbortController().signal;

/** Each element of an output is its index. */
function counting(...shape: number[]): Tensor {
  const count = shape.reduce((product, size) => product * size, 1);
  return { dtype: "float32", shape, data: Float32Array.from({ length: count }, (_, at) => at) };
}

async function run(
  rows: EncoderRow[],
  { inputs, outputs }: { inputs: string[]; outputs: Record<string, Tensor> },
) {
  const fed: Record<string, unknown>[] = [];
  const asked: string[][] = [];
  const session: EncoderSession = {
    concurrency: 1,
    inputs: inputs.map((name) => ({ name })),
    outputs: Object.keys(outputs).map((name) => ({ name })),
    run(feeds, options) {
      asked.push(options.outputs);
      const seen = Object.entries(feeds).map(([name, { shape, data }]) => [
        name,
        { shape, data: Array.from(data, Number) },
      ]);
      fed.push(Object.fromEntries(seen));
      return Promise.resolve(outputs);
    },
  };
  const results = await runRows(rows, { session }, signal);
  return { results, fed: fed[0], asked: asked[0] };
}

const row = (ids: number[], ...outputs: OutputName[]): EncoderRow => ({ ids, outputs });

describe("runRows", () => {
  it("pads rows to the longest, hides the padding, and feeds what the graph reads", async () => {
    const rows = [{ ...row([5, 6, 70_000], "logits"), typeIds: [0, 1, 1] }, row([9], "logits")];
    const outputs = { logits: counting(2, 2) };
    const { fed } = await run(rows, {
      inputs: ["token_type_ids", "input_ids", "attention_mask"],
      outputs,
    });
    expect(fed).toEqual({
      input_ids: { shape: [2, 3], data: [5, 6, 70_000, 9, 0, 0] },
      attention_mask: { shape: [2, 3], data: [1, 1, 1, 1, 0, 0] },
      token_type_ids: { shape: [2, 3], data: [0, 1, 1, 0, 0, 0] },
    });
    const bare = await run(rows, { inputs: ["input_ids"], outputs });
    expect(Object.keys(bare.fed ?? {})).toEqual(["input_ids"]);
  });

  it("gives each row the outputs it asked for, without the padding", async () => {
    const outputs = {
      pooled: counting(3, 2),
      last_hidden_state: counting(3, 3, 2),
      start_logits: counting(3, 3),
    };
    const { results, asked } = await run(
      [
        row([1, 2], "pooled", "last_hidden_state"),
        row([1, 2, 3], "start_logits"),
        row([4], "last_hidden_state", "start_logits"),
      ],
      { inputs: ["input_ids"], outputs },
    );
    expect(asked?.toSorted()).toEqual(["last_hidden_state", "pooled", "start_logits"]);
    expect(results).toEqual([
      { pooled: Float32Array.of(0, 1), last_hidden_state: Float32Array.of(0, 1, 2, 3) },
      { start_logits: Float32Array.of(3, 4, 5) },
      { last_hidden_state: Float32Array.of(12, 13), start_logits: Float32Array.of(6) },
    ]);
  });

  it("gives memory of the row's own", async () => {
    const pooled = counting(2, 2);
    const { results } = await run([row([1], "pooled"), row([2], "pooled")], {
      inputs: ["input_ids"],
      outputs: { pooled },
    });
    pooled.data.fill(0 as never);
    expect(results[1]?.pooled).toEqual(Float32Array.of(2, 3));
    expect(results[1]?.pooled?.buffer.byteLength).toBe(8);
  });

  const masked: EncoderRow[] = [
    { ...row([1, 8, 2], "logits"), positions: [1] },
    { ...row([1, 2], "logits"), positions: [] },
    { ...row([1, 8, 8, 2], "logits"), positions: [2, 1] },
  ];

  it("asks a masked-lm for its masks alone and gives each row its own", async () => {
    const { results, fed } = await run(masked, {
      inputs: ["input_ids", "positions"],
      outputs: { logits: counting(3, 2) },
    });
    expect(fed).toMatchObject({ positions: { shape: [3], data: [1, 10, 9] } });
    expect(results.map(({ logits }) => [...(logits ?? [])])).toEqual([[0, 1], [], [2, 3, 4, 5]]);
  });

  it("picks the masks from the logits of all tokens where the graph takes no positions", async () => {
    const { results } = await run(masked, {
      inputs: ["input_ids"],
      outputs: { logits: counting(3, 4, 2) },
    });
    const picked = results.map(({ logits }) => [...(logits ?? [])]);
    expect(picked).toEqual([[2, 3], [], [20, 21, 18, 19]]);
  });

  it("says which output is missing or of another type", async () => {
    const rows = [row([1], "pooled")];
    const inputs = ["input_ids"];
    await expect(run(rows, { inputs, outputs: {} })).rejects.toThrow(/pooled/);
    const ids: Tensor = { dtype: "int64", shape: [1, 1], data: BigInt64Array.of(1n) };
    await expect(run(rows, { inputs, outputs: { pooled: ids } })).rejects.toThrow(
      /float32.*pooled/,
    );
  });
});
