/**
 * How a model relates two parts of a text. A checkpoint reads the text with its marks, which it was trained to; a head over
 * a shared backbone reads the bare text once and makes its features of the token vectors: the mean over the first part, over the
 * second, and over the whole sequence with its special tokens, one after the other.
 */
import { CodedError } from "#contract/errors.ts";
import { TimeSlices } from "../event-loop/time-slices.ts";
import { sigmoid, softmax } from "../tensor/activations.ts";
import type { EncoderModel, LinearHead } from "./encoder-model.ts";
import { linearLogits, poolTokens } from "./linear-head.ts";
import { type MarkedText, writeMarks } from "./marked-spans.ts";
import { type Place, wordPlaces } from "./offsets.ts";
import type { EncoderRow, Engine } from "./pipeline.ts";
import { readRows } from "./read-rows.ts";
import type { RequestTally } from "./sentence-request.ts";
import { type SequenceHead, sequenceHeadOf } from "./sequence-head.ts";
import { encodeWhole } from "./text-tokens.ts";

/** Two parts of a text, and the name of the input it stands in. */
export type Pair = MarkedText & { name: string };

export type RelationRun = {
  model: EncoderModel;
  engine: Pick<Engine, "run" | "signal" | "hold">;
  tally: RequestTally;
};

export type RelationHead = {
  labels: readonly string[];
  /** Scores `[labels]` of each pair. @throws CodedError; the signal's reason */
  scores(pairs: readonly Pair[], run: RelationRun): Promise<number[][]>;
};

/** @throws CodedError where the model relates nothing */
export function relationHeadOf(model: EncoderModel): RelationHead {
  const { head, id } = model;
  const whole = sequenceHeadOf(model);
  if (whole !== null) {
    return { labels: whole.labels, scores: (pairs, run) => readMarked(whole, pairs, run) };
  }
  if (head.name !== "sequence-classification" || head.linear?.pooling !== "spans") {
    throw new CodedError("invalid_value", `${id} relates no parts of texts`, { param: "model" });
  }
  const { labels, linear } = head;
  const toScores = scoresOf(head);
  return {
    labels,
    async scores(pairs, run) {
      const logits = await readSpans(linear, pairs, run);
      return new TimeSlices(run.engine.signal).map(logits, toScores);
    },
  };
}

function scoresOf({ problem }: Pick<SequenceHead, "problem">): (logits: Float32Array) => number[] {
  return problem === "multi_label" ? (logits) => Array.from(logits, sigmoid) : softmax;
}

const fix = "Shorten it.";

async function readMarked(
  head: SequenceHead,
  pairs: readonly Pair[],
  { model, engine, tally }: RelationRun,
): Promise<number[][]> {
  const rows: EncoderRow[] = [];
  const slices = new TimeSlices(engine.signal);
  tally.expect(pairs.length, leastTokens(model));
  const texts = await slices.map(pairs, (pair) => ({ text: writeMarks(pair), name: pair.name }));
  for await (const tokens of encodeWhole(texts, model, { signal: engine.signal, fix })) {
    if (slices.over) await slices.next();
    const { ids } = model.tokenizer.wrap(tokens.ids);
    tally.add({ ids, truncated: false });
    rows.push({ ids, outputs: head.outputs });
  }
  const toScores = scoresOf(head);
  return readRows(rows, model, engine, {
    // A head that reads a vector of its own has the graph give those of all tokens.
    floatsOf: ({ ids }) => ids.length * (model.limits.dimensions ?? 1),
    read: (result) => toScores(head.logitsOf(result)),
  });
}

/** Of a text with two marked parts. */
function leastTokens({ tokenizer }: EncoderModel): number {
  return tokenizer.specialTokens.single + 2;
}

/** A text with all pairs that stand in it, run once. */
type SharedText = { text: string; name: string; pairs: Pair[]; at: number[] };

async function readSpans(
  head: LinearHead,
  pairs: readonly Pair[],
  { model, engine, tally }: RelationRun,
): Promise<Float32Array[]> {
  const texts = byText(pairs);
  const rows: EncoderRow[] = [];
  const slices = new TimeSlices(engine.signal);
  const read: { start: number; parts: Part[] }[] = [];
  for await (const tokens of encodeWhole(texts, model, { signal: engine.signal, fix })) {
    const { ids, starts } = model.tokenizer.wrap(tokens.ids);
    tally.add({ ids, truncated: false });
    const places = await wordPlaces(tokens.text, tokens.offsets, slices);
    const own = texts[rows.length]?.pairs ?? [];
    const found = tokenFinder(places, tokens.name);
    const parts = await slices.map(own, ({ head: first, tail: second }) => ({
      head: found(first),
      tail: found(second),
    }));
    read.push({ start: starts[0] ?? 0, parts });
    rows.push({ ids, outputs: ["last_hidden_state"] });
  }
  const spans = spanHeadOf(head);
  const { width } = spans;
  const logits = await readRows(rows, model, engine, {
    floatsOf: ({ ids }) => ids.length * width,
    read({ last_hidden_state: states = new Float32Array() }, row) {
      const { start = 0, parts = [] } = read[row] ?? {};
      return relate(states, { start, parts, spans });
    },
  });
  const inOrder: Float32Array[] = [];
  for (const [row, { at }] of texts.entries()) {
    for (const [index, place] of at.entries()) {
      inOrder[place] = logits[row]?.[index] ?? new Float32Array();
    }
  }
  return inOrder;
}

function byText(pairs: readonly Pair[]): SharedText[] {
  const texts = new Map<string, SharedText>();
  for (const [index, pair] of pairs.entries()) {
    const { text, name } = pair;
    const shared = texts.get(name) ?? { text, name, pairs: [], at: [] };
    shared.pairs.push(pair);
    shared.at.push(index);
    texts.set(name, shared);
  }
  return [...texts.values()];
}

/** Tokens `[from, to)` of the two parts. */
type Part = { head: Place; tail: Place };

/** Tells the tokens that have something of a part; looked for once, however many pairs it is in. */
function tokenFinder(places: readonly Place[], name: string): (part: Place) => Place {
  const known = new Map<string, Place>();
  return (part) => {
    const key = part.join("-");
    const tokens = known.get(key) ?? tokensIn(part, places, name);
    known.set(key, tokens);
    return tokens;
  };
}

function tokensIn([start, end]: Place, places: readonly Place[], name: string): Place {
  const stands = (place: Place) => place[0] < end && place[1] > start;
  const first = places.findIndex(stands);
  if (first !== -1) return [first, places.findLastIndex(stands) + 1];
  throw new CodedError(
    "invalid_value",
    `${name}: a marked part holds nothing that the model reads. Mark a word.`,
    { param: name },
  );
}

/** The weights of each third of the features, `[labels, width]`. */
type SpanHead = {
  width: number;
  bias: Float32Array;
  head: Float32Array;
  tail: Float32Array;
  whole: Float32Array;
};

function spanHeadOf({ weight, bias }: LinearHead): SpanHead {
  const labels = bias.length;
  const width = weight.length / labels / 3;
  const third = (at: number) => {
    const block = new Float32Array(labels * width);
    for (let label = 0; label < labels; label += 1) {
      const from = (3 * label + at) * width;
      block.set(weight.subarray(from, from + width), label * width);
    }
    return block;
  };
  return { width, bias, head: third(0), tail: third(1), whole: third(2) };
}

type Reading = { start: number; parts: readonly Part[]; spans: SpanHead };

/**
 * Logits `[labels]` of each pair of a row. Each third of the features is multiplied by itself, and of a part once, however many
 * pairs it is in.
 */
function relate(states: Float32Array, { start, parts, spans }: Reading): Float32Array[] {
  const { width, bias } = spans;
  const zero = new Float32Array(bias.length);
  const known = { head: new Map<string, Float32Array>(), tail: new Map<string, Float32Array>() };
  const share = (role: "head" | "tail", [from, to]: Place): Float32Array => {
    const key = `${from}-${to}`;
    const before = known[role].get(key);
    if (before !== undefined) return before;
    const own = states.subarray((start + from) * width, (start + to) * width);
    const made = linearLogits(poolTokens(own, width, "mean"), { weight: spans[role], bias: zero });
    known[role].set(key, made);
    return made;
  };
  const whole = linearLogits(poolTokens(states, width, "mean"), { weight: spans.whole, bias });
  return parts.map(({ head, tail }) => {
    const [first, second] = [share("head", head), share("tail", tail)];
    return whole.map((logit, label) => logit + (first[label] ?? 0) + (second[label] ?? 0));
  });
}
