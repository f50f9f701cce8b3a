/** What a model that serves says of held-out rows: of all in batches, or of one at a time as a caller waits for it. */
import { wholeText } from "../model/decoder-feeds.ts";
import type { DecoderModel } from "../model/decoder-model.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import { runRows } from "../model/run-rows.ts";
import { logLikelihood } from "../tensor/activations.ts";
import { int64 } from "../tensor/tensor.ts";
import { sum } from "../tensor/vectors.ts";
import type { LearntRow } from "./learnt-rows.ts";
import { ownRow, runInBatches } from "./run-in-batches.ts";
import { joined } from "./served-rows.ts";
import type { ServedRows } from "./served-rows.ts";

export type ServedAnswers = {
  /** Tokens of each row. */
  readonly tokens: readonly number[];
  /** One row, and nothing else meanwhile. */
  one(row: number, signal: AbortSignal): Promise<void>;
  /** As judging takes them. @throws the signal's reason */
  all(signal: AbortSignal): Promise<Float32Array[]>;
};

export function encoderAnswers(
  { rows, rowsEach, read }: ServedRows,
  model: EncoderModel,
): ServedAnswers {
  return {
    tokens: rows.map(({ ids }) => ids.length),
    async one(at, signal) {
      const row = rows[at];
      if (row === undefined) return;
      const [result = {}] = await runRows([ownRow(row, model)], model, signal);
      read(result, at);
    },
    async all(signal) {
      const answers: Float32Array[] = [];
      await runInBatches(rows, model, signal, (result, at) => {
        answers[at] = read(result, at);
      });
      const starts = [...answers.keys()].filter((at) => at % rowsEach === 0);
      return rowsEach === 1
        ? answers
        : starts.map((at) => joined(answers.slice(at, at + rowsEach)));
    },
  };
}

/** Logits of more tokens at once would take much memory. */
const tokensAtOnce = 256;

/** Log likelihood of what is learnt of each text, and how many of those tokens are the likeliest. */
export function decoderAnswers(rows: readonly LearntRow[], model: DecoderModel): ServedAnswers {
  const answer = async (at: number, signal: AbortSignal) => {
    const row = rows[at] ?? { ids: [], learnt: [] };
    const scores = new Float32Array(2);
    for (let from = 0; from < row.learnt.length; from += tokensAtOnce) {
      const learnt = row.learnt.slice(from, from + tokensAtOnce);
      const more = await scored({ ids: row.ids, learnt }, model, signal);
      for (const [index, value] of more.entries()) scores[index] = (scores[index] ?? 0) + value;
    }
    return scores;
  };
  return {
    tokens: rows.map(({ ids }) => ids.length),
    one: async (at, signal) => void (await answer(at, signal)),
    async all(signal) {
      const answers: Float32Array[] = [];
      for (const at of rows.keys()) {
        signal.throwIfAborted();
        answers.push(await answer(at, signal));
      }
      return answers;
    },
  };
}

async function scored(
  { ids, learnt }: LearntRow,
  { session, adapter, softPrompt = [] }: DecoderModel,
  signal: AbortSignal,
): Promise<[likelihood: number, hits: number]> {
  const feeds = {
    ...wholeText(session, [...softPrompt, ...ids]),
    // What stands before a token says how likely it is.
    positions: int64(
      [learnt.length],
      learnt.map((at) => softPrompt.length + at - 1),
    ),
    ...(adapter !== undefined && { lora_slots: int64([1], [adapter]) }),
  };
  const { logits } = await session.run(feeds, { outputs: ["logits"], signal });
  if (logits?.dtype !== "float32") throw new TypeError("a decoder gives float32 logits");
  const width = logits.data.length / learnt.length;
  let hits = 0;
  const likelihoods = learnt.map((at, row) => {
    const own = logits.data.subarray(row * width, (row + 1) * width);
    const id = ids[at] ?? 0;
    if (isLikeliest(own, id)) hits += 1;
    return logLikelihood(own, id);
  });
  return [sum(likelihoods), hits];
}

function isLikeliest(logits: Float32Array, id: number): boolean {
  const own = logits[id] ?? NaN;
  return logits.every((logit) => logit <= own);
}
