/**
 * Whether a model's int8 form answers nearly as its f32 form does: both are run on the same texts, and the figures are
 * kept in `STATE/int8-accuracy.json`, so that a model is measured once. How the graphs are made is not known here.
 */
import path from "node:path";
import * as z from "zod";
import { inThread } from "../event-loop/in-thread.ts";
import { JsonStore } from "../files/json-store.ts";
import type { EncoderRow } from "../model/encoder-row.ts";
import type { ModelHead } from "../model/model-head.ts";
import { runRows } from "../model/run-rows.ts";
import type { Session } from "../runtime/session.ts";
import { sigmoid, softmax } from "../tensor/activations.ts";
import { cosine } from "../tensor/vectors.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { accuracySamples, type Compared } from "./accuracy-samples.ts";

export const Int8Figures = z.discriminatedUnion("of", [
  z.object({ of: z.literal("vectors"), cosineMean: z.number(), cosineMin: z.number() }),
  z.object({
    of: z.literal("scores"),
    /** Share of the decisions where both forms put the same answer first. */
    agreement: z.number(),
    /** Mean over the decisions of the total variation: the most that the probability of any answer differs by. */
    shift: z.number(),
  }),
]);
export type Int8Figures = z.infer<typeof Int8Figures>;

/**
 * int8: well-behaved encoders reach 0.998 and 0.99; below these bounds neighbours in a search change places. f16: all
 * that stay in its range reach 0.99999; what is below the bounds overflows somewhere.
 */
const cosineBounds = { int8: { mean: 0.99, min: 0.97 }, f16: { mean: 0.9995, min: 0.998 } };
/**
 * Scores that move by two hundredths are the same to who reads them, though near ties may turn over. Where they move
 * more, the first answers must be the same; alone that is not enough, since one class may be first in all our texts.
 */
const shiftMax = 0.02;
const agreementMin = 0.98;
const shiftMaxAgreeing = 0.05;

export function isAccurate(figures: Int8Figures, form: "int8" | "f16" = "int8"): boolean {
  const { mean: meanMin, min } = cosineBounds[form];
  if (figures.of === "vectors") return figures.cosineMean >= meanMin && figures.cosineMin >= min;
  const { agreement, shift } = figures;
  return shift <= shiftMax || (agreement >= agreementMin && shift <= shiftMaxAgreeing);
}

/** Of weights that we ship, by their sha256: they start without being measured. As `measureAccuracy` found. */
const shipped: ReadonlyMap<string, Int8Figures> = new Map([
  [
    "de4e3730f2780c9aa5a8e355e064bb751fca088948b6e5cba3da3bbae350d0d4",
    { of: "vectors" as const, cosineMean: 0.9994, cosineMin: 0.999 },
  ],
]);

export type KeptFigures = {
  /** Null: not measured yet. */
  find(weights: string, key: string): Promise<Int8Figures | null>;
  keep(key: string, figures: Int8Figures): Promise<void>;
};

export function openKeptFigures(stateFolder: string): KeptFigures {
  const store = new JsonStore(path.join(stateFolder, "int8-accuracy.json"), Int8Figures);
  return {
    find: async (weights, key) => shipped.get(weights) ?? store.find(key),
    keep: (key, figures) => store.keep(key, figures),
  };
}

/** A decision's numbers each, of all samples: a vector, or the logits of the answers to choose from. */
async function accuracyOutputs(
  session: Session,
  samples: readonly EncoderRow[],
  { compared, signal }: Reading,
): Promise<Float32Array[]> {
  const rows: Float32Array[] = [];
  for (const sample of samples) {
    // Each by itself: in a batch it would be padded.
    const [result = {}] = await runRows([sample], { session }, signal);
    for (const output of Object.values(result)) rows.push(...rowsOf(output, compared.head));
  }
  return rows;
}

/** Tokens are labelled one by one; everything else decides once a sample. */
function rowsOf(data: Float32Array, head: ModelHead): Float32Array[] {
  if (head.name !== "token-classification") return [data];
  const size = head.labels.length;
  return Array.from({ length: data.length / size }, (_, at) =>
    data.subarray(at * size, (at + 1) * size),
  );
}

export type Reading = { compared: Compared; tokenizer: Tokenizer; signal: AbortSignal };

/** Opens one form after the other, so that never both are in memory. */
export async function measureAccuracy(
  open: { f32: () => Promise<Session>; int8: () => Promise<Session> },
  reading: Reading,
): Promise<Int8Figures> {
  const { compared, tokenizer } = reading;
  const samples = await accuracySamples(tokenizer, compared);
  const exact = await outputsAndRelease(await open.f32(), samples, reading);
  const rounded = await outputsAndRelease(await open.int8(), samples, reading);
  // A masked-lm's numbers are a vocabulary for each text.
  const buffers = [...exact, ...rounded].map(({ buffer }) => buffer);
  return inThread(import.meta.url, compareForms, [exact, rounded, compared], {
    signal: reading.signal,
    bytes: buffers.reduce((sum, { byteLength }) => sum + byteLength, 0),
    transfer: buffers,
  });
}

async function outputsAndRelease(
  session: Session,
  samples: readonly EncoderRow[],
  reading: Reading,
) {
  try {
    return await accuracyOutputs(session, samples, reading);
  } finally {
    await session.release();
  }
}

/** @param f32 rows of `accuracyOutputs`, and `int8` those of the other form in the same order */
export function compareForms(
  f32: readonly Float32Array[],
  int8: readonly Float32Array[],
  { head, isSentence }: Pick<Compared, "head" | "isSentence">,
): Int8Figures {
  const pairs = f32.map((row, at) => [row, int8[at] ?? new Float32Array(row.length)] as const);
  if (isSentence || head.name === "none") {
    const cosines = pairs.map(([a, b]) => {
      const nearness = cosine(a, b);
      // Vectors that hold NaN or Infinity count as nothing alike.
      return Number.isNaN(nearness) ? 0 : nearness;
    });
    return { of: "vectors", cosineMean: mean(cosines), cosineMin: Math.min(...cosines) };
  }
  const spread = spreadOf(f32);
  const decisions = pairs.map(([a, b]) => decide(head, spread, [a, b]));
  const agreement = mean(decisions.map(({ agrees }) => (agrees ? 1 : 0)));
  const shifts = decisions.map(({ shift }) => (Number.isFinite(shift) ? shift : 1));
  return { of: "scores", agreement, shift: mean(shifts) };
}

type Decision = { agrees: boolean; shift: number };

function decide(
  head: ModelHead,
  spread: number,
  [a, b]: readonly [Float32Array, Float32Array],
): Decision {
  const problem = "problem" in head ? head.problem : "single_label";
  if (problem === "regression") {
    const shift = mean([...a].map((value, at) => Math.abs(value - (b[at] ?? NaN)))) / spread;
    return { agrees: shift <= shiftMaxAgreeing, shift };
  }
  // One logit alone, as rerankers give it, is a probability by itself.
  const alone = problem === "multi_label" || a.length === 1;
  const probabilities = alone ? (logits: Float32Array) => Array.from(logits, sigmoid) : softmax;
  const [p, q] = [probabilities(a), probabilities(b)];
  const gaps = p.map((value, at) => Math.abs(value - (q[at] ?? NaN)));
  if (!alone) return { agrees: argmax(p) === argmax(q), shift: gaps.reduce(sum, 0) / 2 };
  const agrees = p.every((value, at) => value >= 0.5 === (q[at] ?? NaN) >= 0.5);
  return { agrees, shift: Math.max(...gaps) };
}

const sum = (total: number, value: number) => total + value;

function mean(values: readonly number[]): number {
  return values.reduce(sum, 0) / values.length;
}

/** From the least to the greatest number there is: what a regression's differences are measured by. */
function spreadOf(rows: readonly Float32Array[]): number {
  let [low, high] = [Infinity, -Infinity];
  for (const value of rows.flatMap((row) => [...row])) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return high > low ? high - low : 1;
}

function argmax(values: readonly number[]): number {
  return values.reduce((best, value, at) => (value > (values[best] ?? -Infinity) ? at : best), 0);
}
