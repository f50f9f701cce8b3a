/** What a report needs of an example, whatever its form: a row a form. */
import type { FormName, Line, TrainingMessage } from "#contract/training/forms.ts";
import { answersOf } from "./check-example.ts";
import { entityLabels } from "./iob2.ts";

export type ExampleWords = {
  /** What is read of it; examples with the same are duplicates. */
  readonly text: string;
  /** What is said of that text. */
  readonly target: string;
  /** Classes, or the kinds of its entities; null: the form has none. */
  readonly labels: readonly string[] | null;
  /** What a model reads at once, in pieces that are tokenised each by itself. */
  readonly readings: readonly string[];
};

type Words = { readonly [F in FormName]: (example: Line<F>) => ExampleWords };

const pairOf = ({ text, text_pair }: { text: string; text_pair?: string | undefined }) =>
  text_pair === undefined ? [text] : [text, text_pair];

/** With a sign between that no text has: "a b" and "c" are not "a" and "b c". */
const joined = (parts: readonly string[]) => parts.join(" \u0000 ");

const of = (
  parts: readonly string[],
  target: string,
  labels: readonly string[] | null,
): ExampleWords => ({ text: joined(parts), target, labels, readings: parts });

const words: Words = {
  chat: ({ messages }) => {
    const said = messages.map((message) => ({ role: message.role, text: contentOf(message) }));
    const text = joined(said.flatMap((each) => [each.role, each.text]));
    return { text, target: "", labels: null, readings: said.map((each) => each.text) };
  },
  completion: ({ prompt, completion }) => of([prompt, completion], "", null),
  "single-label": (example) => of(pairOf(example), example.label, [example.label]),
  "multi-label": (example) => {
    const labels = [...new Set(example.label)];
    return of(pairOf(example), joined(labels.toSorted()), labels);
  },
  regression: ({ text, score }) => of([text], String(score), null),
  similarity: ({ text, text_pair, score }) => of([text, text_pair], String(score), null),
  pairs: ({ text, text_pair, negative }) => ({
    ...of([text, text_pair], "", null),
    readings: negative === undefined ? [text, text_pair] : [text, text_pair, negative],
  }),
  tags: ({ tokens, tags }) => of([tokens.join(" ")], tags.join(" "), entityLabels(tags)),
  spans: ({ text, entities }) => {
    const said = entities.map(({ start, end, label }) => `${start} ${end} ${label}`);
    return of(
      [text],
      joined(said.toSorted()),
      entities.map(({ label }) => label),
    );
  },
  relation: ({ text, label }) => of([text], label, [label]),
  "question-answering": (example) => {
    const { question, context } = example;
    const said = (answersOf(example) ?? []).map(({ text }) => text);
    return { ...of([question, context], "", null), text: joined([question, context, ...said]) };
  },
  text: ({ text }) => of([text], "", null),
};

export function wordsOf<F extends FormName>(form: F, example: Line<F>): ExampleWords {
  return words[form](example);
}

export function contentOf({ content }: TrainingMessage): string {
  return typeof content === "string" ? content : content.map(({ text }) => text).join("\n");
}

/** Forms of which two answers to one text cannot both be right. */
export const saysOneThing: readonly FormName[] = [
  "single-label",
  "multi-label",
  "regression",
  "similarity",
  "tags",
  "spans",
  "relation",
];
