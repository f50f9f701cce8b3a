/**
 * Which of the labels in the request fit a text. A model trained for entailment is asked whether the text entails each; a
 * sentence encoder compares the text with each label's description. The answer's `method` says which.
 */
import * as z from "zod";
import { defineTask } from "../task.ts";
import { Label, LabelName, Text, truncate } from "./fields.ts";

export const zeroShotClassification = defineTask({
  summary: "Classify texts by labels of the request",
  input: Text,
  parameters: z.strictObject({
    candidate_labels: z.array(LabelName).min(1).max(100),
    /** Holds `{}`, where the label goes. Default "This example is {}." for entailment, "{}" for similarity. */
    hypothesis_template: z.string().max(1_000).optional(),
    /** Judge each label by itself, so that several may fit. */
    multi_label: z.boolean().optional(),
    truncate,
  }),
  /** By score, the best first. */
  output: z.array(Label),
  reads: (input, { candidate_labels: labels }) => labels.flatMap((label) => [input, label]),
  ofSentenceEncoders: true,
  huggingFace: {
    recognise: z.looseObject({ parameters: z.looseObject({ candidate_labels: z.unknown() }) }),
  },
});
