/**
 * The calls of an evaluation before it has begun, as conversations: all of them where nothing is chosen on the way;
 * where candidates are, those of the longest, since any may be left. One after the other: a prompt may be long, and its
 * calls many.
 */
import type { ChatMessage } from "../tasks/chat-completion.ts";
import { limits } from "../limits.ts";
import { divisionOf, roundsOf, shotSetsOf } from "./evaluation-plan.ts";
import { type Prompt, type PromptExample, renderPrompt } from "./prompt.ts";
import { textOf } from "./variables.ts";
import { type Variant, wordingsOf } from "./wordings.ts";

export type Evaluated = {
  readonly prompt: Prompt;
  readonly examples: readonly PromptExample[];
  readonly labels: readonly string[] | null;
  readonly variants: readonly Variant[];
};

type Call = { readonly prompt: Prompt; readonly example: PromptExample };

/** The estimate of a text has at least a token for so many characters. */
const charactersPerToken = 4;

/**
 * Whether the texts of an evaluation are more than a request may hold, however they are put together. Nothing is formed
 * of them to find out.
 */
export function readsTooMuch(evaluated: Evaluated, optimise: boolean): boolean {
  let left = charactersPerToken * limits.tokensPerRequestMax;
  for (const { prompt, example } of callsOf(evaluated, optimise)) {
    left -= lengthOfPrompt(prompt) + lengthOf(example);
    if (left < 0) return true;
  }
  return false;
}

/** @throws CodedError for an example that lacks a variable */
export function estimatedCalls(evaluated: Evaluated, optimise: boolean): ChatMessage[][] {
  return [...callsOf(evaluated, optimise)].map(({ prompt, example }) =>
    renderPrompt(prompt, example.variables, "examples"),
  );
}

/** How many answers are written, at most. */
export function countCalls(evaluated: Evaluated, optimise: boolean): number {
  return [...callsOf(evaluated, optimise)].length;
}

function* callsOf(evaluated: Evaluated, optimise: boolean): Generator<Call> {
  const { prompt, examples } = evaluated;
  if (!optimise) return yield* each(prompt, examples);
  const division = divisionOf(examples.length);
  const byLength = longestFirst(examples, lengthOf);
  const sets = [null, ...shotSetsOf(division).map((shots) => byLength.slice(0, shots))];
  const candidates = longestFirst(
    wordingsOf(prompt, evaluated).flatMap(({ prompt: wording }) =>
      sets.map((shots): Prompt => ({ ...wording, examples: [...(shots ?? wording.examples)] })),
    ),
    lengthOfPrompt,
  );
  for (const { candidates: count, from, to } of roundsOf(candidates.length, division.judged))
    for (const candidate of candidates.slice(0, count))
      yield* each(candidate, byLength.slice(0, to - from));
  for (const judged of [candidates[0] ?? prompt, prompt])
    yield* each(judged, byLength.slice(0, division.heldOut));
}

function* each(prompt: Prompt, examples: readonly PromptExample[]): Generator<Call> {
  for (const example of examples) yield { prompt, example };
}

function longestFirst<T>(items: readonly T[], length: (item: T) => number): T[] {
  return items
    .map((item) => ({ item, length: length(item) }))
    .toSorted((a, b) => b.length - a.length)
    .map(({ item }) => item);
}

/** Of its own text, and of the examples that it shows, in UTF-16 units. */
function lengthOfPrompt({ messages, examples }: Prompt): number {
  const said = messages.reduce((sum, { content }) => sum + content.length, 0);
  return examples.reduce((sum, example) => sum + lengthOf(example), said);
}

function lengthOf({ variables, output }: PromptExample): number {
  const values = Object.values(variables);
  return values.reduce<number>((sum, value) => sum + textOf(value).length, output.length);
}
