/**
 * The largest and the most laborious that the schemas admit of every task, bodies of 8 MB: what a stranger would send
 * to stop a worker. Each is answered or refused by name.
 */
import { limits } from "../../contract/limits.ts";
import type { Task, TaskInput, TaskParameters } from "../../contract/tasks.ts";

type Request<T extends Task> = { task: T; inputs: TaskInput<T>[]; parameters: TaskParameters<T> };
export type LargeRequest = { [T in Task]: Request<T> }[Task];

const bodyCharacters = 8 * 2 ** 20;
const text = (characters: number, words = "a storm near Paris caused the flood. ") =>
  words.repeat(Math.ceil(characters / words.length)).slice(0, characters);
const texts = (count: number, each: string) => Array.from({ length: count }, () => each);
const labels = (count: number, characters: number) =>
  Array.from({ length: count }, (_, at) => `${at} `.padEnd(characters, "x"));

const dots = texts(8, ".".repeat(limits.stringCharactersMax));
/** So many single-character tokens as one request may hold, special tokens and overlap included. */
const mostDots = ".".repeat(200_000);
const spaces = " ".repeat(900_000);

/** Each with a name; `refused`: the field that the refusal names. Absent: it is answered. */
export const largestRequests: readonly (LargeRequest & { what: string; refused?: string })[] = [
  { what: "8 MB of dots", task: "tokenize", inputs: dots, parameters: {}, refused: "inputs[0]" },
  {
    what: "all tokens in one text",
    task: "tokenize",
    inputs: [".".repeat(299_000)],
    parameters: {},
  },
  {
    what: "more ids than a request may hold",
    task: "detokenize",
    inputs: texts(8, "").map(() => Array.from({ length: 299_000 }, () => 1_012)),
    parameters: {},
    refused: "inputs",
  },
  {
    what: "as many ids as a request may hold",
    task: "detokenize",
    inputs: [Array.from({ length: 300_000 }, () => 1_012)],
    parameters: {},
  },
  {
    what: "dots by windows, every token an entity",
    task: "token-classification",
    inputs: [mostDots],
    parameters: { stride: 200, aggregation_strategy: "none", ignore_labels: ["no such class"] },
    refused: "inputs",
  },
  {
    what: "as many entities as fit a result",
    task: "token-classification",
    inputs: [".".repeat(100_000)],
    parameters: { stride: 200, aggregation_strategy: "none", ignore_labels: ["no such class"] },
  },
  {
    what: "a thousand answers in each of many contexts",
    task: "question-answering",
    inputs: Array.from({ length: 2_048 }, () => ({ question: "who?", context: text(4_000) })),
    parameters: { top_k: 1_000, max_answer_len: 10_000 },
    refused: "inputs",
  },
  {
    what: "a thousand answers, too many in all",
    task: "question-answering",
    inputs: Array.from({ length: 400 }, () => ({ question: "who?", context: text(1_500) })),
    parameters: { top_k: 1_000, max_answer_len: 10_000 },
    refused: "top_k",
  },
  {
    what: "a thousand answers of a long context, of any length",
    task: "question-answering",
    inputs: [{ question: "who?", context: text(400_000) }],
    parameters: { top_k: 1_000, max_answer_len: 10_000, max_seq_len: 512, doc_stride: 200 },
  },
  {
    what: "a thousand fillings of many masks",
    task: "fill-mask",
    inputs: texts(100, `${"[MASK] ".repeat(20)}${text(1_500)}`),
    parameters: { top_k: 1_000 },
    refused: "top_k",
  },
  {
    what: "a thousand fillings of a text that is mostly space",
    task: "fill-mask",
    inputs: [`[MASK]${spaces}`],
    parameters: { top_k: 1_000 },
    refused: "top_k",
  },
  {
    what: "as many fillings as fit a result",
    task: "fill-mask",
    inputs: texts(5, `[MASK] [MASK] ${text(1_500)}`),
    parameters: { top_k: 1_000 },
  },
  {
    what: "a hundred long labels for each of many texts",
    task: "zero-shot-classification",
    inputs: texts(2_048, "a storm"),
    parameters: { candidate_labels: labels(100, 650) },
    refused: "candidate_labels",
  },
  {
    what: "a hundred labels beside each of many texts",
    task: "zero-shot-classification",
    inputs: texts(2_048, "a storm"),
    parameters: { candidate_labels: labels(100, 8) },
    refused: "inputs",
  },
  {
    what: "long labels in each of as many places as there may be",
    task: "zero-shot-classification",
    inputs: ["a storm"],
    parameters: { candidate_labels: labels(65, 980), hypothesis_template: "{}".repeat(10) },
  },
  {
    what: "hundreds of pairs of as many texts as fit",
    task: "zero-shot-classification",
    inputs: texts(150, "a storm"),
    parameters: { candidate_labels: labels(100, 3) },
  },
  {
    what: "a thousand examples of a hundred labels",
    task: "few-shot-classification",
    inputs: texts(2_048, "a storm"),
    parameters: {
      examples: Array.from({ length: 1_000 }, (_, at) => ({
        text: `a storm ${at}`,
        label: `label ${at % 100}`,
      })),
    },
  },
  {
    what: "a text of every class",
    task: "text-classification",
    inputs: texts(2_048, text(500)),
    parameters: {},
  },
  {
    what: "vectors of as many tokens as fit",
    task: "feature-extraction",
    inputs: texts(2_048, text(500)),
    parameters: {},
  },
  {
    what: "millions of sentences",
    task: "sentence-similarity",
    inputs: Array.from({ length: 1_000 }, () => ({
      source_sentence: "a",
      sentences: texts(2_048, "b"),
    })),
    parameters: {},
    refused: "inputs",
  },
  {
    what: "tens of thousands of sentences",
    task: "sentence-similarity",
    inputs: Array.from({ length: 40 }, () => ({
      source_sentence: "a",
      sentences: texts(2_048, "b"),
    })),
    parameters: {},
  },
  {
    what: "millions of documents",
    task: "rerank",
    inputs: Array.from({ length: 1_000 }, () => ({ query: "a", texts: texts(2_048, "b") })),
    parameters: { return_text: true },
    refused: "inputs",
  },
  {
    what: "documents of 8 MB, returned",
    task: "rerank",
    inputs: [{ query: "a", texts: texts(500, text(bodyCharacters / 500)) }],
    parameters: { return_text: true, truncate: true },
  },
  {
    what: "every pair of the entities of many texts",
    task: "relation-extraction",
    inputs: texts(2_048, text(250)),
    parameters: {},
    refused: "inputs[1]",
  },
  {
    what: "every pair of the entities of a text that is mostly space",
    task: "relation-extraction",
    inputs: [`${"Paris . ".repeat(20)}${spaces}`],
    parameters: {},
    refused: "inputs",
  },
  {
    what: "a text of hundreds of thousands of marks",
    task: "relation-extraction",
    inputs: ["<e1>".repeat(250_000)],
    parameters: {},
    refused: "inputs[0]",
  },
  {
    what: "every pair of a text's entities",
    task: "relation-extraction",
    inputs: [text(150)],
    parameters: {},
  },
  {
    what: "prompts of 8 MB",
    task: "text-generation",
    inputs: dots,
    parameters: {},
    refused: "inputs[0]",
  },
  {
    what: "as many choices of as many prompts as the schema takes",
    task: "text-generation",
    inputs: texts(2_048, "a storm"),
    parameters: { n: 8 },
    refused: "inputs",
  },
  {
    what: "a token of as many choices as there may be",
    task: "text-generation",
    inputs: texts(2_048, "a storm"),
    parameters: { n: 8, max_tokens: 10 },
  },
  {
    what: "choices as long as the model goes, with all log probabilities",
    task: "text-generation",
    inputs: ["a storm"],
    parameters: { n: 8, max_tokens: 8_000, top_logprobs: 20 },
    refused: "top_logprobs",
  },
  {
    what: "as many log probabilities as fit a result",
    task: "text-generation",
    inputs: [text(20_000)],
    parameters: { n: 2, max_tokens: 1_000, top_logprobs: 20, echo: true },
  },
  {
    what: "a conversation of 8 MB",
    task: "chat-completion",
    inputs: [
      {
        messages: texts(8, text(limits.stringCharactersMax)).map((content) => ({
          role: "user" as const,
          content,
        })),
      },
    ],
    parameters: {},
    refused: "inputs[0]",
  },
  {
    what: "as many messages as there may be, in as many conversations",
    task: "chat-completion",
    inputs: Array.from({ length: 20 }, () => ({
      messages: texts(2_048, "x").map((content) => ({ role: "user" as const, content })),
    })),
    parameters: { max_tokens: 1 },
  },
];
