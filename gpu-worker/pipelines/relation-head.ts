/**
 * How a model relates two parts of a text. A checkpoint reads the text with its marks, as it was trained to. A head
 * over a shared backbone makes its features of the token vectors: the mean over the first part, over the second, and
 * over the whole sequence with its special tokens, one after the other. It reads the bare text once for all pairs, or
 * the text of each pair with its marks, which count with their parts.
 */
import { CodedError } from "#contract/errors.ts";
import type { MarkedText } from "#contract/relation-marks.ts";
import { TimeSlices } from "../event-loop/time-slices.ts";
import { sigmoid, softmax } from "../tensor/activations.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import type { LinearHead } from "../model/linear-head.ts";
import { linearLogits, poolTokens } from "./linear-head.ts";
import { withMarks } from "./marked-spans.ts";
import { type Span, trimOffsets } from "./offsets.ts";
import { tokensIn } from "./part-tokens.ts";
import type { EncoderRow } from "../model/encoder-row.ts";
import type { TaskContext } from "./pipeline.ts";
import { readRows } from "./read-rows.ts";
import type { TokenCounter } from "./sentence-request.ts";
import { type SequenceHead, sequenceHeadOf } from "./sequence-head.ts";
import { encodeWhole } from "./text-tokens.ts";

/** Two parts of a text, and the name of its input. */
export type Pair = MarkedText & { name: string };

export type RelationRun = {
  model: EncoderModel;
  context: Pick<TaskContext, "run" | "signal" | "reserveOutputs">;
  counter: TokenCounter;
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
  const pooling = "linear" in head ? head.linear?.pooling : undefined;
  const isOfParts = pooling === "spans" || pooling === "marks";
  if (head.name !== "sequence-classification" || head.linear === null || !isOfParts) {
    throw new CodedError("invalid_value", `${id} relates no parts of texts`, { param: "model" });
  }
  const { labels, linear } = head;
  const toScores = scoresOf(head);
  return {
    labels,
    async scores(pairs, run) {
      const logits = await readSpans(linear, pairs, run);
      return new TimeSlices(run.context.signal).map(logits, toScores);
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
  { model, context, counter }: RelationRun,
): Promise<number[][]> {
  const rows: EncoderRow[] = [];
  const slices = new TimeSlices(context.signal);
  counter.expect(pairs.length, leastTokens(model));
  const texts = await slices.map(pairs, (pair) => ({
    text: withMarks(pair).text,
    name: pair.name,
  }));
  for await (const tokens of encodeWhole(texts, model, { signal: context.signal, fix })) {
    if (slices.over) await slices.next();
    const { ids } = model.tokenizer.wrap(tokens.ids);
    counter.add({ ids, truncated: false });
    rows.push({ ids, outputs: head.outputs });
  }
  const toScores = scoresOf(head);
  return readRows(rows, model, context, {
    // A head that pools token vectors itself has the graph return those of all tokens.
    floatsOf: ({ ids }) => ids.length * (model.limits.dimensions ?? 1),
    read: (result) => toScores(head.logitsOf(result)),
  });
}

/** Of a text with two marked parts. */
function leastTokens({ tokenizer }: EncoderModel): number {
  return tokenizer.specialTokens.single + 2;
}

/** A text with all its pairs, run once. `indices`: of the pairs in the request. */
type SharedText = { text: string; name: string; pairs: Pair[]; indices: number[] };

async function readSpans(
  head: LinearHead,
  pairs: readonly Pair[],
  { model, context, counter }: RelationRun,
): Promise<Float32Array[]> {
  counter.expect(head.pooling === "marks" ? pairs.length : 0, leastTokens(model));
  const texts = head.pooling === "marks" ? pairs.map(byItself) : byText(pairs);
  const rows: EncoderRow[] = [];
  const slices = new TimeSlices(context.signal);
  const read: { start: number; parts: PairTokens[] }[] = [];
  for await (const tokens of encodeWhole(texts, model, { signal: context.signal, fix })) {
    const { ids, starts } = model.tokenizer.wrap(tokens.ids);
    counter.add({ ids, truncated: false });
    const tokenSpans = await trimOffsets(tokens.text, tokens.offsets, slices);
    const own = texts[rows.length]?.pairs ?? [];
    const found = tokenFinder(tokenSpans, tokens.name);
    const parts = await slices.map(own, ({ head: first, tail: second }) => ({
      head: found(first),
      tail: found(second),
    }));
    read.push({ start: starts[0] ?? 0, parts });
    rows.push({ ids, outputs: ["last_hidden_state"] });
  }
  const weights = spanWeightsOf(head);
  const { width } = weights;
  const logits = await readRows(rows, model, context, {
    floatsOf: ({ ids }) => ids.length * width,
    read({ last_hidden_state: states = new Float32Array() }, row) {
      const { start = 0, parts = [] } = read[row] ?? {};
      return relate(states, { start, parts, weights });
    },
  });
  const inOrder: Float32Array[] = [];
  for (const [row, { indices }] of texts.entries()) {
    for (const [at, index] of indices.entries()) {
      inOrder[index] = logits[row]?.[at] ?? new Float32Array();
    }
  }
  return inOrder;
}

function byItself(pair: Pair, index: number): SharedText {
  const { name } = pair;
  const marked = { name, ...withMarks(pair) };
  return { text: marked.text, name, pairs: [marked], indices: [index] };
}

function byText(pairs: readonly Pair[]): SharedText[] {
  const texts = new Map<string, SharedText>();
  for (const [index, pair] of pairs.entries()) {
    const { text, name } = pair;
    const shared = texts.get(name) ?? { text, name, pairs: [], indices: [] };
    shared.pairs.push(pair);
    shared.indices.push(index);
    texts.set(name, shared);
  }
  return [...texts.values()];
}

/** The tokens of the two parts. */
export type PairTokens = { readonly head: Span; readonly tail: Span };

/** @returns finds the tokens that overlap a part, once however many pairs it is in */
function tokenFinder(tokenSpans: readonly Span[], name: string): (part: Span) => Span {
  const known = new Map<string, Span>();
  return (part) => {
    const key = part.join("-");
    const tokens = known.get(key) ?? tokensIn(part, tokenSpans);
    if (tokens === null) throw unread(name);
    known.set(key, tokens);
    return tokens;
  };
}

function unread(name: string): CodedError {
  return new CodedError(
    "invalid_value",
    `${name}: a marked part holds nothing that the model reads. Mark a word.`,
    { param: name },
  );
}

/** The weights of each third of the features, `[labels, width]`. */
type SpanWeights = {
  width: number;
  bias: Float32Array;
  head: Float32Array;
  tail: Float32Array;
  whole: Float32Array;
};

function spanWeightsOf({ weight, bias }: LinearHead): SpanWeights {
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

/** Logits `[labels]` of one pair of a row, whose parts are of these tokens of the row. */
export function spanLogits(
  head: LinearHead,
): (states: Float32Array, parts: PairTokens) => Float32Array {
  const weights = spanWeightsOf(head);
  return (states, parts) => relate(states, { start: 0, parts: [parts], weights })[0] ?? head.bias;
}

/** `start`: index of the first token of the text in the row. */
type RowPairs = { start: number; parts: readonly PairTokens[]; weights: SpanWeights };

/**
 * Logits `[labels]` of each pair of a row. Each third of the features is multiplied with its weights separately, and
 * that of a part once, however many pairs it is in.
 */
function relate(states: Float32Array, { start, parts, weights }: RowPairs): Float32Array[] {
  const { width, bias } = weights;
  const zero = new Float32Array(bias.length);
  const known = { head: new Map<string, Float32Array>(), tail: new Map<string, Float32Array>() };
  const logitsOfPart = (role: "head" | "tail", [from, to]: Span): Float32Array => {
    const key = `${from}-${to}`;
    const before = known[role].get(key);
    if (before !== undefined) return before;
    const own = states.subarray((start + from) * width, (start + to) * width);
    const made = linearLogits(poolTokens(own, width, "mean"), {
      weight: weights[role],
      bias: zero,
    });
    known[role].set(key, made);
    return made;
  };
  const whole = linearLogits(poolTokens(states, width, "mean"), { weight: weights.whole, bias });
  return parts.map(({ head, tail }) => {
    const [first, second] = [logitsOfPart("head", head), logitsOfPart("tail", tail)];
    return whole.map((logit, label) => logit + (first[label] ?? 0) + (second[label] ?? 0));
  });
}
