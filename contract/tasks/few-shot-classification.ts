/** Classes taught by labelled examples in the request: a classifier is fitted on their sentence vectors, and kept. */
import * as z from "zod";
import { limits } from "../limits.ts";
import { defineTask } from "../task.ts";
import { boundTogether, Label, LabelName, Text, topK, truncate } from "./fields.ts";

const labelsMax = 100;

const Examples = z
  .array(
    z.strictObject({
      text: Text.describe("A text of the class."),
      label: LabelName.describe("Its class."),
    }),
  )
  .min(2)
  .max(1_000)
  .superRefine((examples, context) => {
    const labels = new Set(examples.map(({ label }) => label)).size;
    const refuse = (message: string) => context.addIssue({ code: "custom", message });
    if (labels < 2) refuse("give examples of at least two labels");
    if (labels > labelsMax)
      refuse(`the examples have ${labels} labels, at most ${labelsMax} are told apart`);
    // More examples are a case for fine-tuning.
    boundTogether(
      examples.flatMap(({ text, label }) => [text, label]),
      context,
    );
  });

export const fewShotClassification = defineTask({
  summary: "Classify texts by labelled examples of the request",
  example: {
    model: "all-MiniLM-L6-v2",
    input: "a cow on the meadow",
    parameters: {
      examples: [
        { text: "the cat sleeps", label: "animals" },
        { text: "two and two is four", label: "numbers" },
      ],
    },
    output: [
      { label: "animals", score: 0.92 },
      { label: "numbers", score: 0.08 },
    ],
    tokens: 20,
  },
  input: Text,
  parameters: z.strictObject({
    examples: Examples.describe(
      `Labelled texts of at least two classes, up to ${limits.listParameterCharactersMax} characters in all.`,
    ),
    k: topK.describe("How many classes are kept, the best first. Default: all."),
    truncate,
  }),
  /** By score, the best first. */
  output: z.array(Label),
  reads: (input) => [input],
  readsOnce: ({ examples }) => examples.map(({ text }) => text),
  ofSentenceEncoders: true,
  huggingFace: {
    listsOne: () => true,
    recognise: z.looseObject({ parameters: z.looseObject({ examples: z.unknown() }) }),
  },
});
