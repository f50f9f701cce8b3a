/** Cosine similarity of one sentence to each of several others. */
import * as z from "zod";
import { limits } from "../limits.ts";
import { defineTask } from "../task.ts";
import { inputsLike, Text, truncate } from "./fields.ts";

export const sentenceSimilarity = defineTask({
  summary: "Compare one sentence with others",
  example: {
    model: "all-MiniLM-L6-v2",
    input: { source_sentence: "A cat sleeps.", sentences: ["A kitten naps.", "Stocks fell."] },
    parameters: {},
    output: [0.71, 0.04],
    tokens: 18,
  },
  input: z.strictObject({
    source_sentence: Text.describe("The sentence the others are compared with."),
    sentences: z.array(Text).min(1).max(limits.inputsMax).describe("The others."),
  }),
  parameters: z.strictObject({ truncate }),
  /** One cosine per sentence, −1…1, in the order given. */
  output: z.array(z.number()),
  reads: ({ source_sentence, sentences }) => [source_sentence, ...sentences],
  ofSentenceEncoders: true,
  huggingFace: {
    recognise: inputsLike(z.looseObject({ source_sentence: z.unknown() })),
  },
});
