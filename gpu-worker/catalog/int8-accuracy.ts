/**
 * Whether a model's int8 form answers nearly as its f32 form does: both are run on the same texts, and the figures are
 * kept in `STATE/int8-accuracy.json`, so that a model is measured once. How the graphs are made is not known here.
 */
import { readFile } from "node:fs/promises";
import path from "node:path";
import * as z from "zod";
import type { Session } from "../runtime/session.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { accuracyQuestion, accuracyTexts } from "./int8-accuracy-texts.ts";
import type { LoadedHead } from "./loaded-model.ts";
import { writeAtomically } from "./write-atomically.ts";

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

/** Well-behaved encoders reach 0.998 and 0.99; below these bounds neighbours in a search change places. */
const cosineBounds = { mean: 0.99, min: 0.97 };
/**
 * Scores that move by two hundredths are the same to who reads them, though near ties may turn over. Where they move more,
 * the first answers must be the same; alone that is not enough, since one class may be first in all our texts.
 */
const shiftMax = 0.02;
const agreementMin = 0.98;
const shiftMaxAgreeing = 0.05;

export function isAccurate(figures: Int8Figures): boolean {
  if (figures.of === "vectors")
    return figures.cosineMean >= cosineBounds.mean && figures.cosineMin >= cosineBounds.min;
  const { agreement, shift } = figures;
  return shift <= shiftMax || (agreement >= agreementMin && shift <= shiftMaxAgreeing);
}

/** Of weights that we ship, by their sha256: they start without being measured. As `measureAccuracy` found. */
const shipped: ReadonlyMap<string, Int8Figures> = new Map([
  [
    "de4e3730f2780c9aa5a8e355e064bb751fca088948b6e5cba3da3bbae350d0d4",
    { of: "vectors" as const, cosineMean: 0.9994, cosineMin: 0.9988 },
  ],
]);

const KeptFile = z.record(z.string(), Int8Figures);

export type KeptFigures = {
  /** Null: not measured yet. */
  find(weights: string, key: string): Promise<Int8Figures | null>;
  keep(key: string, figures: Int8Figures): Promise<void>;
};

export function openKeptFigures(stateFolder: string): KeptFigures {
  const file = path.join(stateFolder, "int8-accuracy.json");
  let writing: Promise<unknown> = Promise.resolve();

  async function read(): Promise<z.infer<typeof KeptFile>> {
    try {
      return KeptFile.parse(JSON.parse(await readFile(file, "utf8")));
    } catch {
      // Nothing measured yet, or damaged: measuring again gives the same.
      return {};
    }
  }

  async function add(key: string, figures: Int8Figures): Promise<void> {
    await writeAtomically(
      file,
      `${JSON.stringify({ ...(await read()), [key]: figures }, null, 2)}\n`,
    );
  }

  return {
    find: async (weights, key) => shipped.get(weights) ?? (await read())[key] ?? null,
    // One after the other: of two models loaded at once, both are kept.
    keep(key, figures) {
      const added = writing.then(() => add(key, figures));
      writing = added.catch(() => undefined);
      return added;
    },
  };
}

type Feeds = Parameters<Session["run"]>[0];
type Sample = { ids: number[]; typeIds: number[]; position: number };

/** Longest of the compared inputs, special tokens included. */
const tokensMax = 64;

export type Compared = { head: LoadedHead; isSentence: boolean; maxTokens: number };

/** The texts as this model reads them; a masked-lm's with one token masked. */
async function accuracySamples(
  tokenizer: Tokenizer,
  { head, maxTokens }: Compared,
): Promise<Sample[]> {
  const [question, ...texts] = await tokenizer.encode([accuracyQuestion, ...accuracyTexts]);
  const asked = head.name === "question-answering" ? (question?.ids ?? []) : null;
  const { single, pair } = tokenizer.specialTokens;
  const added = asked === null ? single : pair + asked.length;
  const room = Math.max(1, Math.min(tokensMax, maxTokens) - added);
  return texts.map(({ ids }) => {
    const kept = ids.slice(0, room);
    const {
      ids: all,
      typeIds,
      starts,
    } = asked === null ? tokenizer.wrap(kept) : tokenizer.wrap(asked, kept);
    const position = (starts[0] ?? 0) + (kept.length >> 1);
    const masked = head.name === "masked-lm" ? tokenizer.mask : null;
    const read = all.map((id, at) => (masked !== null && at === position ? masked.id : id));
    return { ids: read, typeIds, position };
  });
}

/** [1, sequence] */
function grid(values: readonly number[]) {
  const data = BigInt64Array.from(values, BigInt);
  return { dtype: "int64" as const, shape: [1, values.length], data };
}

function feedsOf(session: Session, { ids, typeIds, position }: Sample): Feeds {
  const all: Feeds = {
    input_ids: grid(ids),
    attention_mask: grid(ids.map(() => 1)),
    pooling_mask: grid(ids.map(() => 1)),
    token_type_ids: grid(typeIds),
    positions: { ...grid([position]), shape: [1] },
  };
  const wanted = new Set(session.inputs.map(({ name }) => name));
  return Object.fromEntries(Object.entries(all).filter(([name]) => wanted.has(name)));
}

/** A decision's numbers each, of all samples: a vector, or the logits of the answers to choose from. */
async function accuracyOutputs(
  session: Session,
  samples: readonly Sample[],
  { compared, signal }: Reading,
): Promise<Float32Array[]> {
  const names = outputsOf(compared);
  const rows: Float32Array[] = [];
  for (const sample of samples) {
    const result = await session.run(feedsOf(session, sample), { outputs: names, signal });
    for (const name of names) {
      const data = result[name]?.data;
      if (!(data instanceof Float32Array)) throw new Error(`the graph gave no ${name}`);
      rows.push(...rowsOf(data, compared.head));
    }
  }
  return rows;
}

function outputsOf({ head, isSentence }: Compared): string[] {
  if (isSentence) return ["sentence_embedding"];
  if (head.name === "none") return ["last_hidden_state"];
  return head.name === "question-answering" ? ["start_logits", "end_logits"] : ["logits"];
}

/** Tokens are labelled one by one; everything else decides once a sample. */
function rowsOf(data: Float32Array, head: LoadedHead): Float32Array[] {
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
  return compareForms(
    exact,
    await outputsAndRelease(await open.int8(), samples, reading),
    compared,
  );
}

async function outputsAndRelease(session: Session, samples: readonly Sample[], reading: Reading) {
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
    const cosines = pairs.map(([a, b]) => cosine(a, b));
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
  head: LoadedHead,
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
  const [p, q] = alone ? [sigmoid(a), sigmoid(b)] : [softmax(a), softmax(b)];
  const gaps = p.map((value, at) => Math.abs(value - (q[at] ?? NaN)));
  if (!alone) return { agrees: argmax(p) === argmax(q), shift: gaps.reduce(sum, 0) / 2 };
  const agrees = p.every((value, at) => value >= 0.5 === (q[at] ?? NaN) >= 0.5);
  return { agrees, shift: Math.max(...gaps) };
}

const sum = (total: number, value: number) => total + value;

function mean(values: readonly number[]): number {
  return values.reduce(sum, 0) / values.length;
}

function dot(x: Float32Array, y: Float32Array): number {
  return x.reduce((total, value, at) => total + value * (y[at] ?? NaN), 0);
}

function cosine(a: Float32Array, b: Float32Array): number {
  const lengths = Math.sqrt(dot(a, a) * dot(b, b));
  // Not a number, or no direction: nothing alike.
  return lengths > 0 && lengths < Infinity ? dot(a, b) / lengths : 0;
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

function sigmoid(logits: Float32Array): number[] {
  return [...logits].map((value) => 1 / (1 + Math.exp(-value)));
}

function softmax(logits: Float32Array): number[] {
  const top = logits.reduce((most, value) => Math.max(most, value), -Infinity);
  const powers = [...logits].map((value) => Math.exp(value - top));
  const total = powers.reduce(sum, 0);
  return powers.map((value) => value / total);
}

function argmax(values: readonly number[]): number {
  return values.reduce((best, value, at) => (value > (values[best] ?? -Infinity) ? at : best), 0);
}
