/**
 * The calls of an evaluation before it has begun, as conversations: all of them where nothing is chosen on the way;
 * where candidates are, those of the longest on the very examples that they will be judged on, since any may be left.
 * One after the other: a prompt may be long, and its calls many.
 */
import type { ChatMessage } from "../tasks/chat-completion.ts";
import { limits } from "../limits.ts";
import { candidatesOf, divide, type Evaluated } from "./candidates.ts";
import { roundsOf } from "./evaluation-plan.ts";
import { type Prompt, type PromptExample, renderPrompt } from "./prompt.ts";
import { textOf } from "./variables.ts";

/** Whether it is to improve the prompt, and what divides its examples then. */
export type Search = { readonly optimise: boolean; readonly split_seed: number };

type Call = { readonly prompt: Prompt; readonly example: PromptExample };

/** The estimate of a text has at least a token for so many characters. */
const charactersPerToken = 4;

/**
 * Whether the texts of an evaluation are more than a request may hold, however they are put together. Nothing is formed
 * of them to find out.
 */
export function readsTooMuch(evaluated: Evaluated, search: Search): boolean {
  let left = charactersPerToken * limits.tokensPerRequestMax;
  for (const { prompt, example } of callsOf(evaluated, search)) {
    left -= lengthOfPrompt(prompt) + lengthOf(example);
    if (left < 0) return true;
  }
  return false;
}

/** @throws CodedError for an example that lacks a variable */
export function estimatedCalls(evaluated: Evaluated, search: Search): ChatMessage[][] {
  return [...callsOf(evaluated, search)].map(({ prompt, example }) =>
    renderPrompt(prompt, example.variables, "examples"),
  );
}

/** How many answers are written, at most. */
export function countCalls(evaluated: Evaluated, search: Search): number {
  return [...callsOf(evaluated, search)].length;
}

function* callsOf(evaluated: Evaluated, { optimise, split_seed }: Search): Generator<Call> {
  const { prompt, examples } = evaluated;
  if (!optimise) return yield* each(prompt, examples);
  const divided = divide(examples.length, split_seed);
  const at = (indices: readonly number[]) => indices.flatMap((index) => examples[index] ?? []);
  const [judged, heldOut] = [at(divided.judged), at(divided.heldOut)];
  const candidates = candidatesOf(evaluated, divided, split_seed)
    .map((candidate) => ({ ...candidate, length: lengthOfPrompt(candidate.prompt) }))
    .toSorted((a, b) => b.length - a.length);
  for (const { candidates: count, from, to } of roundsOf(candidates.length, judged.length))
    for (const candidate of candidates.slice(0, count))
      yield* each(candidate.prompt, judged.slice(from, to));
  yield* each(prompt, heldOut);
  yield* each(candidates[0]?.prompt ?? prompt, heldOut);
}

function* each(prompt: Prompt, examples: readonly PromptExample[]): Generator<Call> {
  for (const example of examples) yield { prompt, example };
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
