/** Named entities: parts of a text, each with its class. */
import * as z from "zod";
import { defineTask } from "../task.ts";
import { boundTogether, LabelName, offsetUnit, Span, Text } from "./fields.ts";

export const Entity = Span.extend({
  /** The class, without B- or I-. */
  entity_group: z.string(),
  /** The class as the model names it; of an aggregated entity, the same as `entity_group`. */
  entity: z.string(),
  score: z.number(),
});
export type Entity = z.infer<typeof Entity>;

export const tokenClassification = defineTask({
  summary: "Find named entities",
  input: Text,
  parameters: z.strictObject({
    /** Default ["O"]. */
    ignore_labels: z.array(LabelName).max(1_000).superRefine(boundTogether).optional(),
    /**
     * Tokens that neighbouring windows of a long text share, lowered to half a window; absent: a text that is too long is
     * refused.
     */
    stride: z.int().nonnegative().max(10_000).optional(),
    /** Default simple. */
    aggregation_strategy: z.enum(["none", "simple", "first", "average", "max"]).optional(),
    offset_unit: offsetUnit,
  }),
  /** In the order of the text. */
  output: z.array(Entity),
  reads: (input) => [input],
  readsInWindows: ({ stride }) => stride !== undefined,
  windows: ({ stride = 0 }) => ({ shared: stride }),
  huggingFace: {},
});
