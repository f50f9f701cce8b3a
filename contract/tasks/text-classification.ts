/** The classes of a text, or of two that are read side by side, each with its score. */
import * as z from "zod";
import { defineTask } from "../task.ts";
import { Label, Text, topK, truncate } from "./fields.ts";

const TextPair = z.strictObject({ text: Text, text_pair: Text });

/** The form that transformers took pairs in first: `inputs: [[["a text", "another"]]]`. */
const NestedPair = z
  .tuple([z.tuple([Text, Text])])
  .transform(([[text, text_pair]]): z.infer<typeof TextPair> => ({ text, text_pair }));

const AnyPair = z.looseObject({ text_pair: z.unknown() });

export const textClassification = defineTask({
  summary: "Classify texts",
  /** A text, or one beside another: the longer is cut first where both are too long. */
  input: z.union([Text, TextPair]),
  parameters: z.strictObject({
    /** How logits become scores. Absent: softmax, or sigmoid where the model was trained for several labels or one. */
    function_to_apply: z.enum(["sigmoid", "softmax", "none"]).optional(),
    /** Absent: all classes. */
    top_k: topK,
    truncate,
  }),
  /** By score, the best first. */
  output: z.array(Label),
  reads: (input) => (typeof input === "string" ? [input] : [input.text, input.text_pair]),
  huggingFace: {
    input: z.union([Text, TextPair, NestedPair]),
    listsOne: () => true,
    recognise: z.looseObject({
      inputs: z.union([AnyPair, z.tuple([AnyPair]).rest(z.unknown())]),
    }),
  },
});
