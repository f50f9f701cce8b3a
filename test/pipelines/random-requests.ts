/**
 * Random requests of every task that the edge admits, and models that answer them with nothing in them but real
 * tokenizers: what such a request really reads is what the pipelines have run.
 */
import type { CallerTask } from "../../contract/task-table.ts";
import { type Task, type TaskInput, type TaskParameters, tasks } from "../../contract/tasks.ts";
import type { EncoderModel } from "../../gpu-worker/model/encoder-model.ts";
import type { ModelHead } from "../../gpu-worker/model/model-head.ts";
import type { EncoderRow, RowResult } from "../../gpu-worker/model/encoder-row.ts";
import type { TaskContext } from "../../gpu-worker/pipelines/pipeline.ts";
import type { Tokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";
import { toyModel } from "./toy-tagger.ts";

export type RandomRequest<T extends Task = Task> = {
  task: T;
  inputs: TaskInput<T>[];
  parameters: TaskParameters<T>;
  /** Whether the model makes sentence vectors. */
  vectors: boolean;
};

/** Numbers from 0 to below 1. */
export type Random = () => number;

const words = (
  "the committee of ministers decided that every railway station between Paris and Warsaw gets a new roof before " +
  "winter comes while engineers from Nova Corp argue about its price and Maria Lopez writes to the press"
).split(" ");
const alphabets = [
  [..."abcdefghijklmnopqrstuvwxyz "],
  [..."0123456789 ,.-"],
  [..."北京大学在中国的首都東京タワー"],
  [..."абвгдежзиклмнопрст "],
  ["😀", "👍🏽", "🇩🇪", " ", "!"],
  [..."!?.,;:()[]"],
];

const pick = <T>(random: Random, from: readonly T[]): T => {
  const found = from[Math.floor(random() * from.length)];
  if (found === undefined) throw new Error("there is nothing to pick from");
  return found;
};
const upTo = (random: Random, most: number) => 1 + Math.floor(random() * most);

/** Mostly prose; some of letters, digits, signs, or another script. */
export function randomText(random: Random, pieces: number): string {
  const count = upTo(random, pieces);
  if (random() < 0.6) return Array.from({ length: count }, () => pick(random, words)).join(" ");
  const alphabet = pick(random, alphabets);
  return `x${Array.from({ length: count }, () => pick(random, alphabet)).join("")}`;
}

const many = <T>(random: Random, most: number, make: () => T): T[] =>
  Array.from({ length: upTo(random, most) }, make);
const maybe = <T>(random: Random, make: () => T): T | undefined =>
  random() < 0.5 ? make() : undefined;

type Made<T extends Task> = { inputs: TaskInput<T>[]; parameters: object };

/** Every task has a maker, or this does not compile. */
const makers: { readonly [T in CallerTask]: (random: Random) => Made<T> } = {
  noop: (random) => ({ inputs: [randomText(random, 9)], parameters: {} }),
  "feature-extraction": (random) => ({
    inputs: many(random, 12, () =>
      random() < 0.2 ? many(random, 200, () => upTo(random, 1_000)) : randomText(random, 400),
    ),
    parameters: { truncate: true },
  }),
  "sentence-similarity": (random) => {
    const text = randomText(random, 60);
    const sentences = many(random, 40, () => (random() < 0.5 ? text : randomText(random, 60)));
    return { inputs: [{ source_sentence: text, sentences }], parameters: { truncate: true } };
  },
  "text-classification": (random) => ({
    inputs: many(random, 12, () => randomText(random, 300)),
    parameters: { truncate: true },
  }),
  "token-classification": (random) => ({
    inputs: many(random, 4, () => randomText(random, 2_000)),
    parameters: { stride: upTo(random, 600) },
  }),
  "relation-extraction": (random) => ({
    inputs: many(random, 3, () =>
      random() < 0.5
        ? `<e1>${randomText(random, 5)}</e1> met <e2>${randomText(random, 5)}</e2>`
        : Array.from({ length: upTo(random, 60) }, () => pick(random, words)).join(" "),
    ),
    parameters: {},
  }),
  "question-answering": (random) => ({
    inputs: many(random, 3, () => ({
      question: randomText(random, 25),
      context: `some words ${randomText(random, 3_000)}`,
    })),
    parameters: {
      doc_stride: maybe(random, () => upTo(random, 500)),
      max_seq_len: maybe(random, () => 90 + upTo(random, 400)),
    },
  }),
  "zero-shot-classification": (random) => ({
    inputs: many(random, 10, () => randomText(random, 100)),
    parameters: {
      candidate_labels: many(random, 20, () => randomText(random, 6)),
      hypothesis_template: maybe(random, () => pick(random, ["{}", "about {}", "{} and {}, {}!"])),
      truncate: true,
    },
  }),
  "few-shot-classification": (random) => {
    const text = randomText(random, 30);
    const some = many(random, 30, () => (random() < 0.5 ? text : randomText(random, 30)));
    const examples = ["a", "b"].flatMap((label) => some.map((each) => ({ text: each, label })));
    return { inputs: many(random, 5, () => text), parameters: { examples, truncate: true } };
  },
  "fill-mask": (random) => ({
    inputs: many(random, 6, () => `${randomText(random, 100)} [MASK]`),
    parameters: {},
  }),
  rerank: (random) => ({
    inputs: many(random, 2, () => ({
      query: randomText(random, 10),
      texts: many(random, 30, () => randomText(random, 100)),
    })),
    parameters: { truncate: true },
  }),
  "chat-completion": (random) => ({
    inputs: many(random, 2, () => ({
      messages: many(random, 8, () => ({
        role: pick(random, ["system", "user", "assistant"]),
        content: randomText(random, 200),
      })),
    })),
    parameters: { n: upTo(random, 4), max_tokens: upTo(random, 60) },
  }),
  "text-generation": (random) => ({
    inputs: many(random, 5, () =>
      random() < 0.2 ? many(random, 200, () => upTo(random, 1_000)) : randomText(random, 400),
    ),
    parameters: { n: maybe(random, () => upTo(random, 8)), max_tokens: upTo(random, 60) },
  }),
  tokenize: (random) => ({
    inputs: many(random, 5, () => randomText(random, 2_000)),
    parameters: {},
  }),
  detokenize: (random) => ({
    inputs: many(random, 5, () => many(random, 3_000, () => upTo(random, 900))),
    parameters: {},
  }),
};

/** A request as the edge has it once its schemas have read it. */
export function randomRequest<T extends CallerTask>(task: T, random: Random): RandomRequest<T> {
  const { inputs, parameters } = makers[task](random);
  const bare = Object.fromEntries(
    Object.entries(parameters).filter(([, value]) => value !== undefined),
  );
  const { input, parameters: schema } = tasks[task];
  const vectors = tasks[task].ofSentenceEncoders === true && random() < 0.5;
  const taught = task === "few-shot-classification" || task === "sentence-similarity";
  return {
    task,
    inputs: inputs.map((each) => input.parse(each)) as TaskInput<T>[],
    parameters: schema.parse(bare) as TaskParameters<T>,
    vectors: vectors || taught || task === "feature-extraction",
  };
}

const heads: Partial<Record<Task, ModelHead>> = {
  "text-classification": classifier(["a", "b"]),
  "relation-extraction": classifier(["a", "b"]),
  "zero-shot-classification": classifier(["entailment", "contradiction"]),
  rerank: classifier(["relevance"]),
  "token-classification": {
    name: "token-classification",
    labels: ["O", "B-X"],
    problem: "single_label",
    linear: null,
  },
  "question-answering": { name: "question-answering" },
  "fill-mask": { name: "masked-lm" },
};

function classifier(labels: string[]): ModelHead {
  return { name: "sequence-classification", labels, problem: "single_label", linear: null };
}

/** What the edge knows of a model of `limits`, and the pipelines of the model itself. */
export function modelFor(
  task: Task,
  tokenizer: Tokenizer,
  { maxTokens, vectors }: { maxTokens: number; vectors: boolean },
): EncoderModel {
  const head: ModelHead = vectors ? { name: "none" } : (heads[task] ?? { name: "none" });
  const model = toyModel({ head, tokenizer, maxTokens, outputs: () => ({}) });
  if (!vectors) return { ...model, entityModel: "finder" };
  return {
    ...model,
    limits: { ...model.limits, dimensions: 2 },
    sentence: { pooling: "mean", normalize: true, prompts: {} },
  };
}

/** Runs nothing, and counts the tokens that it would have. */
export function countingContext(finder: EncoderModel): TaskContext & { tokens: number } {
  const context = {
    tokens: 0,
    signal: new AbortController().signal,
    async run(model: EncoderModel, rows: readonly EncoderRow[]): Promise<RowResult[]> {
      for (const { ids } of rows) context.tokens += ids.length;
      return rows.map((row) => resultOf(model, row));
    },
    charge: () => {},
    reserveOutputs: () => Promise.resolve(() => {}),
    reserveResult: () => Promise.resolve(),
    acquire: () => Promise.resolve(finder),
    classifier: (_: string, fit: () => Promise<never>) => fit(),
  };
  return context;
}

const floats = (length: number) => new Float32Array(length);

/** Zeros, but for an entity that begins at one token of five. */
function resultOf({ head, tokenizer }: EncoderModel, { ids, positions = [] }: EncoderRow) {
  const perLabel = "labels" in head ? head.labels.length : 0;
  const entities = floats(ids.length * perLabel);
  for (const [at, id] of ids.entries()) entities[at * perLabel + (id % 5 === 0 ? 1 : 0)] = 9;
  return {
    pooled: Float32Array.of(1, ids.length),
    sentence_embedding: Float32Array.of(0.6, 0.8),
    start_logits: floats(ids.length),
    end_logits: floats(ids.length),
    logits:
      head.name === "token-classification"
        ? entities
        : floats(
            head.name === "masked-lm" ? positions.length * tokenizer.vocabularySize : perLabel,
          ),
  };
}
