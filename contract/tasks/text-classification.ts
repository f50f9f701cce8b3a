/** The classes of a text, or of two that are read side by side, each with its score. */
import * as z from "zod";
import { defineTask } from "../task.ts";
import { inputsLike, Label, Text, topK, truncate } from "./fields.ts";

export const TextPair = z.strictObject({
  text: Text.describe("The first of two texts that are read side by side."),
  text_pair: Text.describe("The second."),
});

/** The form that transformers took pairs in first: `inputs: [[["a text", "another"]]]`. */
const NestedPair = z
  .tuple([z.tuple([Text, Text])])
  .transform(([[text, text_pair]]): z.infer<typeof TextPair> => ({ text, text_pair }));

const AnyPair = z.looseObject({ text_pair: z.unknown() });

export const textClassification = defineTask({
  summary: "Classify texts",
  example: {
    model: "sentiment-en",
    input: "A delight.",
    parameters: { top_k: 1 },
    output: [{ label: "positive", score: 0.9996 }],
    tokens: 5,
  },
  /** A text, or one beside another: the longer is cut first where both are too long. */
  input: z.union([Text, TextPair]),
  parameters: z.strictObject({
    function_to_apply: z
      .enum(["sigmoid", "softmax", "none"])
      .optional()
      .describe(
        "How logits become scores. Default: softmax, or sigmoid where the model was trained for several labels or one.",
      ),
    top_k: topK.describe("How many classes are kept, the best first. Default: all."),
    truncate,
  }),
  /** By score, the best first. */
  output: z.array(Label),
  reads: (input) => (typeof input === "string" ? [input] : [input.text, input.text_pair]),
  huggingFace: {
    input: z.union([Text, TextPair, NestedPair]),
    listsOne: () => true,
    recognise: inputsLike(AnyPair),
  },
});
