/** What a decoder answers, with adapters or without, by the graph that trains: the likeliest token each. */
import { buildTrainingDecoder } from "../../gpu-worker/architectures/decoder.ts";
import { encodeModel } from "../../gpu-worker/onnx/encode-model.ts";
import { packedFeeds } from "../../gpu-worker/training/packed-rows.ts";
import type { WeightSource } from "../../gpu-worker/weights/weight-source.ts";
import { openModel } from "../onnx/run-graph.ts";

export type GreedyDecoder = {
  /** Of each token of a text what comes next, [vocabulary] each. */
  logits(ids: readonly number[]): Promise<number[][]>;
  /** What follows each text, up to the end token, or so many tokens. */
  answers(texts: readonly (readonly number[])[], options: AnswerOptions): Promise<number[][]>;
  release(): Promise<void>;
};

export type AnswerOptions = { readonly endTokens: ReadonlySet<number>; readonly tokensMax: number };

/** Reads `weights`, whose adapters have rank 8 and alpha 16, and closes them. @param positions of the longest text */
export async function openGreedyDecoder(
  config: unknown,
  weights: WeightSource,
  positions: number,
): Promise<GreedyDecoder> {
  const graph = buildTrainingDecoder(config, weights, {
    positions,
    loraScale: 2,
    gives: "logits",
    isInput: () => false,
  });
  const model = await openModel(await encodeModel(graph));
  weights.close();
  const rowsAt = async (texts: readonly (readonly number[])[], at: "every" | "last") => {
    const rows = texts.map((ids) => ({
      ids: [...ids, 0],
      learnt: at === "last" ? [ids.length] : ids.map((_, index) => index + 1),
    }));
    const { logits } = await model.run(packedFeeds(rows, 0));
    const width = logits?.shape.at(-1) ?? 1;
    const count = (logits?.data.length ?? 0) / width;
    return Array.from(
      { length: count },
      (_, row) => logits?.data.slice(row * width, (row + 1) * width) ?? [],
    );
  };
  return {
    logits: (ids) => rowsAt([ids], "every"),
    async answers(texts, { endTokens, tokensMax }) {
      const said: number[][] = texts.map(() => []);
      for (let step = 0; step < tokensMax; step++) {
        const open = [...texts.keys()].filter((at) => !endTokens.has(said[at]?.at(-1) ?? -1));
        if (open.length === 0) break;
        const grown = open.map((at) => [...(texts[at] ?? []), ...(said[at] ?? [])]);
        const rows = await rowsAt(grown, "last");
        for (const [index, at] of open.entries()) said[at]?.push(largestOf(rows[index] ?? []));
      }
      return said;
    },
    release: () => model.release(),
  };
}

function largestOf(row: readonly number[]): number {
  return row.reduce((best, value, at) => (value > (row[best] ?? -Infinity) ? at : best), 0);
}
