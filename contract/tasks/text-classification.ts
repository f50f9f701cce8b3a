/** The classes of a text, each with its score. */
import * as z from "zod";
import { defineTask } from "../task.ts";
import { Label, Text, topK, truncate } from "./fields.ts";

export const textClassification = defineTask({
  summary: "Classify texts",
  input: Text,
  parameters: z.strictObject({
    /** How logits become scores. Absent: softmax, or sigmoid where the model was trained for several labels or one. */
    function_to_apply: z.enum(["sigmoid", "softmax", "none"]).optional(),
    /** Absent: all classes. */
    top_k: topK,
    truncate,
  }),
  /** By score, the best first. */
  output: z.array(Label),
  reads: (input) => [input],
  huggingFace: { listsOne: () => true },
});
