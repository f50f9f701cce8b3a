/** An engine on the toy decoder, and what it should write. */
import { SlotScheduler } from "../../gpu-worker/batching/slot-scheduler.ts";
import { Engine } from "../../gpu-worker/llm/engine.ts";
import type { EngineLimits } from "../../gpu-worker/llm/engine-limits.ts";
import { Sampler } from "../../gpu-worker/llm/sampler.ts";
import type { SamplingParameters } from "../../gpu-worker/model/generation.ts";
import { ToyDecoder, toyLogits, toyVocabulary } from "./toy-decoder.ts";
import { greedy } from "./write-text.ts";

/** Keys and values, two heads of a number of four bytes. */
export const bytesPerToken = 16;

/** Milliseconds, which pass by what the session's runs take. */
export type Clock = { now: number };

export function makeEngine(
  limits: Partial<EngineLimits> = {},
  maxTokens = 128,
  { clock, scheduler = new SlotScheduler() }: { clock?: Clock; scheduler?: SlotScheduler } = {},
) {
  const session = new ToyDecoder();
  let calls = 0;
  const now = () => (clock === undefined ? (calls += 1) : clock.now);
  const engine = new Engine(
    { id: "toy", session, limits: { maxTokens, dimensions: null, vocabularySize: toyVocabulary } },
    { scheduler, now, limits },
  );
  return { session, engine };
}

/** What is written for a prompt by itself. */
export function expected(
  prompt: readonly number[],
  length: number,
  { choice = 0, ...parameters }: Partial<SamplingParameters> & { choice?: number } = {},
): number[] {
  const sampler = new Sampler(toyVocabulary);
  const made: number[] = [];
  const counts = new Map<number, number>();
  while (made.length < length) {
    const [sampled] = sampler.sample(toyLogits([...prompt, ...made]), [
      {
        parameters: { ...greedy, ...parameters },
        promptTokens: new Set(prompt),
        outputCounts: counts,
        choice,
        position: made.length,
      },
    ]);
    if (sampled?.kind !== "token") throw new Error("no token");
    made.push(sampled.token);
    counts.set(sampled.token, (counts.get(sampled.token) ?? 0) + 1);
  }
  return made;
}

export const turn = () => new Promise((resolve) => setImmediate(resolve));
export const range = (length: number, from = 0) =>
  Array.from({ length }, (_, at) => (from + at) % toyVocabulary);
