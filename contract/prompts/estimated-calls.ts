/**
 * The calls of an evaluation before it has begun, as conversations: all of them where nothing is chosen on the way;
 * where candidates are, those of the longest, since any may be left.
 */
import type { ChatMessage } from "../tasks/chat-completion.ts";
import { divisionOf, roundsOf, shotSetsOf } from "./evaluation-plan.ts";
import { type Prompt, type PromptExample, renderPrompt } from "./prompt.ts";
import { type Variant, wordingsOf } from "./wordings.ts";

type Evaluated = {
  readonly prompt: Prompt;
  readonly examples: readonly PromptExample[];
  readonly labels: readonly string[] | null;
  readonly variants: readonly Variant[];
};

export type EstimatedMessage = { readonly content: string };

/** @throws CodedError for an example that lacks a variable */
export function estimatedCalls(evaluated: Evaluated, optimise: boolean): EstimatedMessage[][] {
  const { prompt, examples } = evaluated;
  if (!optimise) return examples.map((example, at) => callOf(prompt, example, at));
  const division = divisionOf(examples.length);
  const byLength = examples.toSorted((a, b) => lengthOf(b) - lengthOf(a));
  const shown = [null, ...shotSetsOf(division).map((shots) => byLength.slice(0, shots))];
  const candidates = wordingsOf(prompt, evaluated)
    .flatMap(({ prompt: wording }) =>
      shown.map((shots) => ({ ...wording, examples: shots ?? wording.examples })),
    )
    .map((candidate) => ({ candidate, length: JSON.stringify(candidate).length }))
    .toSorted((a, b) => b.length - a.length)
    .map(({ candidate }) => candidate);
  const judged = roundsOf(candidates.length, division.judged).flatMap((round) =>
    candidates.slice(0, round.candidates).flatMap((candidate) => callsOf(candidate, round)),
  );
  const heldOut = [candidates[0] ?? prompt, prompt].flatMap((each) =>
    callsOf(each, { from: 0, to: division.heldOut }),
  );
  return [...judged, ...heldOut];

  function callsOf(of: Prompt, { from, to }: { from: number; to: number }) {
    return byLength.slice(0, to - from).map((example, at) => callOf(of, example, at));
  }
}

function callOf(prompt: Prompt, { variables }: PromptExample, at: number): EstimatedMessage[] {
  return renderPrompt(prompt, variables, `examples[${at}].variables`).map(({ content }) => ({
    content: textOf(content),
  }));
}

function textOf(content: ChatMessage["content"]): string {
  return typeof content === "string" ? content : content.map(({ text }) => text).join("\n");
}

function lengthOf(example: PromptExample): number {
  return JSON.stringify(example).length;
}
