/** Classes taught by labelled examples in the request: a classifier is fitted on their sentence vectors, and kept. */
import * as z from "zod";
import { defineTask } from "../task.ts";
import { Label, LabelName, Text, topK, truncate } from "./fields.ts";

/** Together, so that a message stays within the queue's bound whatever the script; more is a case for fine-tuning. */
const exampleCharactersMax = 65_536;

const Examples = z
  .array(z.strictObject({ text: Text, label: LabelName }))
  .min(2)
  .max(1_000)
  .refine((examples) => new Set(examples.map(({ label }) => label)).size >= 2, {
    message: "give examples of at least two labels",
  })
  .refine(
    (examples) =>
      examples.reduce((sum, { text, label }) => sum + text.length + label.length, 0) <=
      exampleCharactersMax,
    { message: `the examples hold more than ${exampleCharactersMax} characters in all` },
  );

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
  reads: (input, { examples }) => [input, ...examples.map(({ text }) => text)],
  huggingFace: {
    answerOne: (output) => [output],
    recognise: z.looseObject({ parameters: z.looseObject({ examples: z.unknown() }) }),
  },
});
