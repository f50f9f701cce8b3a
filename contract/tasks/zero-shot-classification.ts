/**
 * Which of the labels in the request fit a text. A model trained for entailment is asked whether the text entails each;
 * a sentence encoder compares the text with each label's description. The answer's `method` says which.
 */
import * as z from "zod";
import { defineTask } from "../task.ts";
import { boundTogether, Label, LabelName, Text, truncate } from "./fields.ts";

/** Each stands for a label of up to 1 000 characters. */
const labelPlacesMax = 10;

/** As transformers' pipeline, whose callers may give the labels in one string. */
function labelsOf(given: unknown): unknown {
  if (typeof given !== "string") return given;
  return given
    .split(",")
    .map((label) => label.trim())
    .filter((label) => label !== "");
}

export const zeroShotClassification = defineTask({
  summary: "Classify texts by labels of the request",
  example: {
    model: "all-MiniLM-L6-v2",
    input: "The striker scored twice.",
    parameters: { candidate_labels: ["cooking", "football"] },
    output: [
      { label: "football", score: 0.93 },
      { label: "cooking", score: 0.07 },
    ],
    tokens: 14,
  },
  input: Text,
  parameters: z.strictObject({
    candidate_labels: z
      .preprocess(labelsOf, z.array(LabelName).min(1).max(100).superRefine(boundTogether))
      .describe("The labels to choose from: a list, or one string with commas between them."),
    hypothesis_template: z
      .string()
      .max(1_000)
      .refine((template) => template.split("{}").length - 1 <= labelPlacesMax, {
        error: `it holds {} more than ${labelPlacesMax} times: once is enough`,
      })
      // As published; the worker refuses one without, in words.
      .meta({ pattern: String.raw`\{\}` })
      .optional()
      .describe(
        "A sentence with {} where the label goes. Default: 'This example is {}.' for entailment, '{}' for similarity.",
      ),
    multi_label: z
      .boolean()
      .optional()
      .describe("Judge each label by itself, so that several may fit. Default: false."),
    truncate,
  }),
  /** By score, the best first. */
  output: z.array(Label),
  reads: (input, parameters, vectors) =>
    vectors ? [input] : hypothesesOf(parameters).flatMap((hypothesis) => [input, hypothesis]),
  readsOnce: (parameters, vectors) => (vectors ? hypothesesOf(parameters) : []),
  ofSentenceEncoders: true,
  huggingFace: {
    recognise: z.looseObject({ parameters: z.looseObject({ candidate_labels: z.unknown() }) }),
  },
});

type Hypotheses = { candidate_labels: readonly string[]; hypothesis_template?: string | undefined };

/** About: a model's own default template may be longer. A label that is repeated is read once. */
function hypothesesOf({ candidate_labels: labels, hypothesis_template: template }: Hypotheses) {
  const each = [...new Set(labels)];
  if (template === undefined) return each;
  return each.map((label) => template.replaceAll("{}", () => label));
}
