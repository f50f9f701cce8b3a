/**
 * What an optimisation of a prompt tries: each wording with the prompt's own examples, and with others as shots. Drawn
 * by a seed, so that the edge, which says what it will cost, and the worker have the same.
 */
import { type Random, randomFrom } from "../random.ts";
import { type Division, divisionOf, shotSetsOf } from "./evaluation-plan.ts";
import type { Prompt, PromptExample } from "./prompt.ts";
import { type Variant, wordingsOf } from "./wordings.ts";

export type Evaluated = {
  readonly prompt: Prompt;
  readonly examples: readonly PromptExample[];
  readonly labels: readonly string[] | null;
  readonly variants: readonly Variant[];
};

/** Indices of examples. */
export type Divided = { pool: number[]; judged: number[]; heldOut: number[]; division: Division };

export type Candidate = { readonly wording: string; readonly prompt: Prompt };

export function divide(examples: number, seed: number): Divided {
  const division = divisionOf(examples);
  const order = shuffled(
    Array.from({ length: examples }, (_, at) => at),
    randomFrom(seed),
  );
  const { heldOut, pool } = division;
  return {
    division,
    heldOut: order.slice(0, heldOut),
    pool: order.slice(heldOut, heldOut + pool),
    judged: order.slice(heldOut + pool),
  };
}

/** The first is the prompt itself. */
export function candidatesOf(
  { prompt, examples, labels, variants }: Evaluated,
  { pool, division }: Divided,
  seed: number,
): Candidate[] {
  const from = pool.flatMap((index) => examples[index] ?? []);
  const shots = shotSetsOf(division).map((count, at) =>
    balanced(shuffled(from, randomFrom(seed + at + 1)), labels !== null).slice(0, count),
  );
  return wordingsOf(prompt, { labels, variants }).flatMap(({ name, prompt: wording }) =>
    [wording.examples, ...shots].map((shown) => ({
      wording: name,
      prompt: { ...wording, examples: shown },
    })),
  );
}

/** In turn of the labels, so that few show as many of them as they can. */
function balanced(examples: readonly PromptExample[], areLabelled: boolean): PromptExample[] {
  if (!areLabelled) return [...examples];
  const seen = new Map<string, number>();
  const turns = examples.map((example) => {
    const turn = seen.get(example.output) ?? 0;
    seen.set(example.output, turn + 1);
    return { example, turn };
  });
  return turns.toSorted((a, b) => a.turn - b.turn).map(({ example }) => example);
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  return items
    .map((item) => ({ item, place: random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ item }) => item);
}
