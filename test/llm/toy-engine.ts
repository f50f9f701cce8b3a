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

type ToyOptions = {
  clock?: Clock;
  scheduler?: SlotScheduler;
  rowsMin?: number;
  provider?: ToyDecoder["provider"];
};

export function makeEngine(
  limits: Partial<EngineLimits> = {},
  maxTokens = 128,
  { clock, scheduler = new SlotScheduler(), rowsMin = 1, provider = "cpu" }: ToyOptions = {},
) {
  const session = new ToyDecoder();
  session.provider = provider;
  let calls = 0;
  const now = () => (clock === undefined ? (calls += 1) : clock.now);
  const engine = new Engine(
    {
      id: "toy",
      session,
      limits: { maxTokens, dimensions: null, vocabularySize: toyVocabulary },
      rowsMin,
    },
    { scheduler, now, limits: { draftTokensMax: 0, guessesRepeatable: true, ...limits } },
  );
  return { session, engine };
}

type ExpectedOptions = Partial<SamplingParameters> & {
  choice?: number;
  bend?: ToyDecoder["bend"];
};

/** What is written for a prompt by itself. */
export function expected(
  prompt: readonly number[],
  length: number,
  { choice = 0, bend = (_, logits) => logits, ...parameters }: ExpectedOptions = {},
): number[] {
  const sampler = new Sampler(toyVocabulary);
  const made: number[] = [];
  const counts = new Map<number, number>();
  while (made.length < length) {
    const known = [...prompt, ...made];
    const sampled = sampler.sample(bend(known, toyLogits(known)), {
      parameters: { ...greedy, ...parameters },
      promptTokens: new Set(prompt),
      outputCounts: counts,
      choice,
      position: made.length,
      allowed: null,
    });
    if (sampled.kind !== "token") throw new Error("no token");
    made.push(sampled.token);
    counts.set(sampled.token, (counts.get(sampled.token) ?? 0) + 1);
  }
  return made;
}

/** Of a text that mostly counts on, and so says what it said before. */
export const countOn: ToyDecoder["bend"] = (tokens, logits) => {
  const last = tokens.at(-1) ?? 0;
  const next = (last + 1) % toyVocabulary;
  return last % 7 === 0 ? logits : logits.with(next, (logits[next] ?? 0) + 10);
};

export const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
export const range = (length: number, from = 0) =>
  Array.from({ length }, (_, at) => (from + at) % toyVocabulary);
