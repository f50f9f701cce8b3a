/**
 * What the clients are asked for, and what their answers are held to: PyTorch's vectors where they are here, and our
 * own as plain HTTP gives them.
 */
import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import type { RunningStack } from "../../../infra/local/start-stack.ts";
import { cosine, readReferences } from "../vectors.ts";

/** Of the stack that all clients call; running once the tests are. */
export type Running = () => RunningStack;

export const model = "sentence-transformers/all-MiniLM-L6-v2";
export const references = readReferences();
const ownTexts = [
  "How do I reset my password?",
  "Die Katze sitzt auf der Matte.",
  "東京は日本の首都です。😀",
  "def f(x):\n    return x ** 2  # squared",
];
export const texts = references.length > 0 ? references.map(({ text }) => text) : ownTexts;

export const question = {
  query: "How do I reset my password?",
  documents: [
    "Our offices are closed on Sundays.",
    "Choose “Forgot password” to set a new one.",
    "Bananas are rich in potassium.",
  ],
};

/** The free tier, as clients.test.ts sets it: one request at a time, and fewer tokens a day than `tooMuch` has. */
export const freeKey = "anonymous";
export const freeTier = {
  FREE_OPEN_REQUESTS: "1",
  FREE_REQUESTS_PER_MINUTE: "600",
  FREE_UNITS_PER_DAY: "2000",
};
export const tooMuch = Array.from({ length: 10 }, () => "word ".repeat(150));

export const tooLong = "word ".repeat(300);

/** What a caller may get wrong; each is answered once, with our words in the client's own error. */
export const mistakes = [
  {
    what: "an unknown model",
    name: "nope",
    text: "a",
    key: null,
    status: 404,
    code: "model_not_found",
    says: /There is no model "nope" here/,
  },
  {
    what: "an empty text",
    name: model,
    text: "",
    key: null,
    status: 400,
    code: "invalid_value",
    says: /is empty/,
  },
  {
    what: "a long text",
    name: model,
    text: tooLong,
    key: null,
    status: 400,
    code: "context_length_exceeded",
    says: /302 tokens, but all-MiniLM-L6-v2 reads at most 256/,
  },
  {
    what: "an unknown key",
    name: model,
    text: "a",
    key: "sk-unknown",
    status: 401,
    code: "invalid_api_key",
    says: /API key is not known/,
  },
];

export const rankMistakes = [
  { what: "an unknown model", name: "nope", query: "a", status: 404, says: /no model "nope" here/ },
  { what: "an empty query", name: model, query: "", status: 400, says: /query is empty/ },
];

/** A text that nobody has asked for, long enough that two sent at once meet. */
export function freshText(): string {
  return `${randomUUID()} ${"word ".repeat(100)}`;
}

/** A call as any HTTP client makes it. */
export function post(
  stack: RunningStack,
  path: string,
  { body, headers }: { body: string | Uint8Array<ArrayBuffer>; headers?: Record<string, string> },
): Promise<Response> {
  const authorization = `Bearer ${stack.operatorKey}`;
  return fetch(`${stack.url}${path}`, {
    method: "POST",
    headers: { authorization, "content-type": "application/json", ...headers },
    body,
  });
}

async function answerTo<T>(stack: RunningStack, path: string, body: object): Promise<T> {
  const response = await post(stack, path, { body: JSON.stringify(body) });
  expect(response.status).toBe(200);
  return (await response.json()) as T;
}

/** @returns the vectors of texts as plain HTTP gives them */
export async function vectorsOf(stack: RunningStack, input: readonly string[]) {
  type Answer = { data: { embedding: number[] }[] };
  const { data } = await answerTo<Answer>(stack, "/v1/embeddings", { model, input });
  return data.map(({ embedding }) => embedding);
}

export type Rank = { index: number; relevance_score: number };

/** @returns how documents rank, the best first, as plain HTTP tells */
export async function ranksOf(stack: RunningStack, asked = question): Promise<Rank[]> {
  const { results } = await answerTo<{ results: Rank[] }>(stack, "/v1/rerank", { model, ...asked });
  return results;
}

/** Clients cut their texts into batches of their own, which are computed in others than ours. */
export function expectSame(vectors: ArrayLike<number>[], expected: ArrayLike<number>[]): void {
  expect(vectors.map(({ length }) => length)).toEqual(expected.map(({ length }) => length));
  const cosines = expected.map((vector, at) => cosine(vector, vectors[at] ?? []));
  expect(Math.min(...cosines)).toBeGreaterThan(0.9999);
}

/** Counts what a client really sends. */
export function countedFetch() {
  const sent = { count: 0 };
  const counting: typeof fetch = (...call) => {
    sent.count += 1;
    return fetch(...call);
  };
  return { sent, fetch: counting };
}

/** int8 storage computed in either form stays above these against PyTorch in f32. */
export function expectRight(vectors: ArrayLike<number>[]): void {
  const cosines = references.map(({ embedding }, i) => cosine(embedding, vectors[i] ?? []));
  if (cosines.length === 0) return;
  expect(Math.min(...cosines)).toBeGreaterThanOrEqual(0.98);
  expect(cosines.reduce((sum, value) => sum + value, 0) / cosines.length).toBeGreaterThanOrEqual(
    0.995,
  );
}
