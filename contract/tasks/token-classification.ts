/** Named entities: parts of a text, each with its class. */
import * as z from "zod";
import { defineTask } from "../task.ts";
import { boundTogether, LabelName, offsetUnit, Span, Text } from "./fields.ts";

export const Entity = Span.extend({
  entity_group: z.string().describe("The class, without B- or I-."),
  entity: z
    .string()
    .describe(
      "The class as the model names it; of an aggregated entity, the same as entity_group.",
    ),
  score: z.number().describe("How sure the model is, from 0 to 1."),
});
export type Entity = z.infer<typeof Entity>;

export const tokenClassification = defineTask({
  summary: "Find named entities",
  example: {
    model: "entities",
    input: "Ada was born in London.",
    parameters: {},
    output: [
      { entity_group: "PER", entity: "PER", score: 0.99, word: "Ada", start: 0, end: 3 },
      { entity_group: "LOC", entity: "LOC", score: 0.98, word: "London", start: 16, end: 22 },
    ],
    tokens: 8,
  },
  input: Text,
  parameters: z.strictObject({
    ignore_labels: z
      .array(LabelName)
      .max(1_000)
      .superRefine(boundTogether)
      .optional()
      .describe("Classes that are left out. Default: O, what is no entity."),
    stride: z
      .int()
      .nonnegative()
      .max(10_000)
      .optional()
      .describe(
        "Tokens that neighbouring windows of a long text share, lowered to half a window. Default: a text that is " +
          "too long is refused.",
      ),
    aggregation_strategy: z
      .enum(["none", "simple", "first", "average", "max"])
      .optional()
      .describe("How tokens are put together to entities. Default: simple."),
    offset_unit: offsetUnit,
  }),
  /** In the order of the text. */
  output: z.array(Entity),
  reads: (input) => [input],
  readsInWindows: ({ stride }) => stride !== undefined,
  windows: ({ stride = 0 }) => ({ shared: stride }),
  huggingFace: {},
});
