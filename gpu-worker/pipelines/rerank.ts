/**
 * Documents by how well they answer a query. A cross-encoder, a classifier of one label, reads the query beside each
 * document: its score is the model's own activation of the logit, usually the sigmoid, as CrossEncoder.rank of
 * sentence-transformers gives it; where that would be the logit itself, it is a sigmoid as well. A sentence encoder
 * compares vectors by the model's own function: where that is the cosine, as usual, the score of a negative one is 0,
 * and the raw score is the cosine. A sentence encoder's own prompts for queries and documents are put before them.
 */
import { CodedError } from "#contract/errors.ts";
import type { TaskInput } from "#contract/tasks.ts";
import type { RankedText } from "#contract/tasks/rerank.ts";
import { TimeSlices } from "../event-loop/time-slices.ts";
import { sigmoid } from "../tensor/activations.ts";
import { cosine, dot, euclidean, manhattan } from "../tensor/vectors.ts";
import { cutDocument } from "./cut-document.ts";
import {
  type InputRules,
  type InputTokens,
  InputEncoder,
  type NamedInput,
} from "./encode-input.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import type { EncoderRow } from "../model/encoder-row.ts";
import type { EncoderPipeline, TaskContext } from "./pipeline.ts";
import { searchPrompt } from "./prompts.ts";
import { readRows } from "./read-rows.ts";
import { ResultSize } from "./result-size.ts";
import { order } from "./scores.ts";
import { TokenCounter, rowsOf } from "./sentence-request.ts";
import { type SequenceHead, sequenceHeadOf } from "./sequence-head.ts";

type Input = TaskInput<"rerank">;

type Ranking = {
  inputs: readonly Input[];
  rules: Omit<InputRules, "prompt">;
  /** Tokens read of a text, special tokens aside. */
  tokensMax: number;
  counter: TokenCounter;
  model: EncoderModel;
  context: Pick<TaskContext, "run" | "signal" | "reserveOutputs">;
};

const fix = "Do without return_text, or send fewer texts.";

/** Bytes of a text's rank as JSON, besides the text. */
const rankBytes = 32;

function countTexts(inputs: readonly Input[]): number {
  return inputs.reduce((sum, { texts }) => sum + texts.length, 0);
}

function bytesOf(inputs: readonly Input[], wantsText: boolean): number {
  const ranks = countTexts(inputs) * rankBytes;
  if (!wantsText) return ranks;
  return inputs.reduce(
    (sum, { texts }) => texts.reduce((own, text) => own + text.length, sum),
    ranks,
  );
}

export const rerank: EncoderPipeline<"rerank"> = {
  kind: "encoder",
  async answer({ inputs, parameters }, model, context) {
    const { truncate = false, truncation_direction: direction = "right" } = parameters;
    const rules = { truncate, truncationDirection: direction };
    const tokensMax = parameters.max_tokens_per_doc ?? Infinity;
    const counter = new TokenCounter();
    const ranking = { inputs, rules, tokensMax, counter, model, context };
    const head = crossEncoderOf(model);
    counter.expect(countTexts(inputs), model.tokenizer.specialTokens.single);
    const { return_text: wantsText = false } = parameters;
    const size = new ResultSize(context, { param: "return_text", fix });
    await size.expect(bytesOf(inputs, wantsText));
    const raw = head === null ? await compare(ranking) : await read(ranking, head);
    const toScore = head === null ? comparisonOf(model).toScore : activations[activationOf(head)];
    const { raw_scores: wantsRaw = false } = parameters;
    const slices = new TimeSlices(context.signal);
    return {
      outputs: await slices.map(split(inputs, raw), (values, at) =>
        rank(values, wantsRaw ? null : toScore, wantsText ? (inputs[at]?.texts ?? []) : null),
      ),
      usage: counter.usage(),
      warnings: counter.warnings(Math.min(tokensMax, model.limits.maxTokens)),
      method: head === null ? "similarity" : "cross-encoder",
    };
  },
};

/** Null for a sentence encoder. @throws CodedError for a model that is neither */
function crossEncoderOf(model: EncoderModel): SequenceHead | null {
  const head = sequenceHeadOf(model);
  if (head?.labels.length === 1) return head;
  if (model.sentence !== null) return null;
  throw new CodedError(
    "invalid_value",
    `${model.id} ranks no texts: it is no cross-encoder and makes no sentence vectors`,
    { param: "model" },
  );
}

const activations = {
  sigmoid,
  tanh: Math.tanh,
};

/** Scores are from 0 to 1, as callers of rerankers expect: where a model's own are logits, a sigmoid is applied. */
function activationOf({ crossEncoder }: SequenceHead): keyof typeof activations {
  const own = crossEncoder?.activation ?? "sigmoid";
  return own === "linear" ? "sigmoid" : own;
}

/** Queries are never truncated: that would change what they ask. */
const queryRules = { truncate: false, neverCut: true, truncationDirection: "right" } as const;

const queriesOf = (inputs: readonly Input[]) =>
  inputs.map(({ query }, at) => ({ input: query, name: `inputs[${at}].query` }));

function* textsOf(inputs: readonly Input[]): Generator<NamedInput> {
  for (const [at, { texts }] of inputs.entries()) {
    for (const [index, input] of texts.entries()) {
      yield { input, name: `inputs[${at}].texts[${index}]` };
    }
  }
}

/** A cross-encoder's logit of each text, input after input. */
async function read(ranking: Ranking, head: SequenceHead): Promise<number[]> {
  const { inputs, rules, tokensMax, counter, model, context } = ranking;
  const queries: InputTokens[] = [];
  const queryRule = { ...queryRules, prompt: head.crossEncoder?.prompt ?? "" };
  const queryEncoder = new InputEncoder(model, queryRule, context.signal);
  for await (const query of queryEncoder.tokens(queriesOf(inputs))) queries.push(query);
  const encoder = new InputEncoder(model, { ...rules, prompt: "" }, context.signal);
  const owners = inputs.flatMap(({ texts }, at) => texts.map(() => queries[at]));
  const rows: EncoderRow[] = [];
  const slices = new TimeSlices(context.signal);
  for await (const text of encoder.tokens(textsOf(inputs))) {
    if (slices.over) await slices.next();
    const query = owners[rows.length];
    if (query === undefined) continue;
    const { kept, isCut } = cutDocument(text, tokensMax, rules);
    const encoded = encoder.pair(query, kept, "second");
    const pair = { ...encoded, truncated: encoded.truncated || isCut };
    counter.add(pair);
    rows.push({ ...pair, outputs: head.outputs });
  }
  return readRows(rows, model, context, {
    floatsOf: head.floatsOf,
    read: (result) => head.logitsOf(result)[0] ?? 0,
  });
}

type Comparison = {
  of(query: Float32Array, text: Float32Array): number;
  toScore(value: number): number;
};

const same = (value: number) => value;

/** As `SentenceTransformer.similarity` of that name; distances are negative, so that more is closer. */
const comparisons = {
  cosine: { of: cosine, toScore: (value) => Math.max(0, value) },
  dot: { of: dot, toScore: same },
  euclidean: { of: (a, b) => -euclidean(a, b), toScore: same },
  manhattan: { of: (a, b) => -manhattan(a, b), toScore: same },
} satisfies Record<string, Comparison>;

function comparisonOf({ sentence }: EncoderModel): Comparison {
  return comparisons[sentence?.similarity ?? "cosine"];
}

/** The similarity of each text to its query, input after input. */
async function compare(ranking: Ranking): Promise<number[]> {
  const { inputs, rules, tokensMax, counter, model, context } = ranking;
  const encoderOf = (rule: Omit<InputRules, "prompt">, of: "query" | "document") =>
    new InputEncoder(model, { ...rule, prompt: searchPrompt(model, of) }, context.signal);
  const comparison = comparisonOf(model);
  const outputs = ["sentence_embedding"] as const;
  const queries = await rowsOf(queriesOf(inputs), encoderOf(queryRules, "query"), {
    counter,
    outputs,
  });
  const texts = await rowsOf(textsOf(inputs), encoderOf(rules, "document"), {
    counter,
    outputs,
    cut: (text) => cutDocument(text, tokensMax, rules),
  });
  const owners = inputs.flatMap((input, at) => input.texts.map(() => at));
  const vectors: Float32Array[] = [];
  const compared = await readRows([...queries, ...texts], model, context, {
    floatsOf: () => model.limits.dimensions ?? 0,
    read({ sentence_embedding: vector = new Float32Array() }, row) {
      if (row < queries.length) vectors.push(vector);
      const owner = owners[row - queries.length] ?? row;
      return comparison.of(vectors[owner] ?? new Float32Array(), vector);
    },
  });
  return compared.slice(queries.length);
}

/** Numbers of all texts as one list per input. */
function split(inputs: readonly Input[], values: readonly number[]): number[][] {
  let next = 0;
  return inputs.map(({ texts }) => values.slice(next, (next += texts.length)));
}

/** @param texts null: they are not wanted back */
function rank(
  values: readonly number[],
  toScore: ((value: number) => number) | null,
  texts: readonly string[] | null,
): RankedText[] {
  return order(values).map((index) => {
    const value = values[index] ?? 0;
    const ranked = { index, score: toScore === null ? value : toScore(value) };
    return texts === null ? ranked : { ...ranked, text: texts[index] ?? "" };
  });
}
