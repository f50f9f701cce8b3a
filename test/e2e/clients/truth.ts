/** What the clients' answers are held to: PyTorch's vectors where they are here, and our own as plain HTTP gives them. */
import { expect } from "vitest";
import type { RunningStack } from "../../../infra/local/start-stack.ts";
import { cosine, readReferences } from "../vectors.ts";

/** Of the stack that all clients call; running once the tests are. */
export type Running = () => RunningStack;

export const model = "sentence-transformers/all-MiniLM-L6-v2";
export const references = readReferences();
export const texts =
  references.length > 0 ? references.map(({ text }) => text) : ["a cat", "a kitten", "tax law"];

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

/** int8 storage computed in either form stays above these against PyTorch in f32. */
export function expectRight(vectors: ArrayLike<number>[]): void {
  const cosines = references.map(({ embedding }, i) => cosine(embedding, vectors[i] ?? []));
  if (cosines.length === 0) return;
  expect(Math.min(...cosines)).toBeGreaterThanOrEqual(0.98);
  expect(cosines.reduce((sum, value) => sum + value, 0) / cosines.length).toBeGreaterThanOrEqual(
    0.995,
  );
}
