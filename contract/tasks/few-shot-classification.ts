/** Classes taught by labelled examples in the request: a classifier is fitted on their sentence vectors, and kept. */
import * as z from "zod";
import { defineTask } from "../task.ts";
import { boundTogether, Label, LabelName, Text, topK, truncate } from "./fields.ts";

const labelsMax = 100;

const Examples = z
  .array(z.strictObject({ text: Text, label: LabelName }))
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
  input: Text,
  parameters: z.strictObject({
    examples: Examples,
    /** Classes kept, the best first. Absent: all. */
    k: topK,
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
