/**
 * Texts to compare a decoder's forms on: sentences, and what the decoder itself makes of them in f32. A form must be
 * close where the model will be asked to write; a text that it would not write says little of that.
 */
import { emptyCache, noPiece } from "../model/decoder-feeds.ts";
import type { Session } from "../runtime/session.ts";
import { int64, type Tensor, tensor } from "../tensor/tensor.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { accuracyTexts } from "./int8-accuracy-texts.ts";

/** Of a sample. */
export const sampleTexts = 8;
const promptTokensMax = 16;
/** A decoder of a large vocabulary gives half a megabyte of logits for each. */
const tokensMax = 64;

export type Reading = { maxTokens: number; signal: AbortSignal };

export type DecoderSample = {
  readonly ids: readonly number[];
  /** Tokens of the sentence, which the decoder did not write. */
  readonly from: number;
};

/** As long as each other or nearly. @param first of the sentences that they begin with, by its index */
export async function decoderSamples(
  session: Session,
  tokenizer: Tokenizer,
  { maxTokens, signal, first = 0 }: Reading & { first?: number },
): Promise<DecoderSample[]> {
  const most = Math.min(tokensMax, maxTokens);
  const room = Math.max(1, Math.min(promptTokensMax, most >> 1));
  const encoded = await tokenizer.encode(accuracyTexts.slice(first, first + sampleTexts));
  const prompts = encoded.map(({ ids }) => tokenizer.wrap(ids).ids.slice(0, room));
  const written = await goOn(session, prompts, { maxTokens: most, signal });
  return written.map((ids, at) => ({ ids, from: prompts[at]?.length ?? 0 }));
}

/** The likeliest token each time, for all texts side by side. */
async function goOn(
  session: Session,
  prompts: readonly (readonly number[])[],
  { maxTokens, signal }: Reading,
): Promise<number[][]> {
  const made = prompts.map((prompt) => [...prompt]);
  const longest = Math.max(...made.map(({ length }) => length));
  let cache = emptyCache(session, made.length, maxTokens);
  let next = made.map((ids) => [...ids]);
  for (let step = longest; step < maxTokens; step += 1) {
    const width = Math.max(...next.map(({ length }) => length));
    const { logits, ...present } = await session.run(
      {
        input_ids: int64(
          [made.length, width],
          next.flatMap((ids) => Array.from({ length: width }, (_, at) => ids[at] ?? 0)),
        ),
        lengths: tensor(
          "int32",
          [made.length],
          Int32Array.from(made, ({ length }) => length),
        ),
        total_length: tensor("int32", [], Int32Array.of(Math.max(...made.map((m) => m.length)))),
        positions: int64(
          [made.length],
          next.map((ids, at) => at * width + ids.length - 1),
        ),
        ...noPiece,
        ...cache,
      },
      { signal },
    );
    cache = keptOf(present);
    next = likeliest(logits, made.length).map((token) => [token]);
    for (const [at, ids] of next.entries()) made[at]?.push(...ids);
  }
  return made;
}

function keptOf(present: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  const renamed = Object.entries(present).map(([name, value]) => {
    return [name.replace("present", "past_key_values"), value] as const;
  });
  return Object.fromEntries(renamed);
}

function likeliest(logits: Tensor | undefined, rows: number): number[] {
  if (logits?.dtype !== "float32") throw new TypeError("a decoder gives float32 logits");
  const width = logits.data.length / rows;
  return Array.from({ length: rows }, (_, row) => {
    const own = logits.data.subarray(row * width, (row + 1) * width);
    return own.indexOf(own.reduce((most, value) => Math.max(most, value), -Infinity));
  });
}
