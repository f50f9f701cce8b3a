/**
 * How two parts of a text are related. Marked with `<e1>…</e1>` and `<e2>…</e2>`: the classes of this pair. Without marks:
 * every ordered pair of the entities that another model finds, each with its best class.
 */
import * as z from "zod";
import { defineTask } from "../task.ts";
import { Label, offsetUnit, Text, topK } from "./fields.ts";
import { Entity } from "./token-classification.ts";

export const RelatedPair = Label.extend({ head: Entity, tail: Entity });
export type RelatedPair = z.infer<typeof RelatedPair>;

export const relationExtraction = defineTask({
  summary: "Tell how parts of a text are related",
  input: Text,
  parameters: z.strictObject({
    /** Of marked spans: classes kept. Of pairs: pairs kept. Absent: all. */
    top_k: topK,
    /** The model that finds the entities of a text without marks. Absent: the one the model itself names. */
    entity_model: z.string().min(1).max(200).optional(),
    offset_unit: offsetUnit,
  }),
  /** By score, the best first. */
  output: z.union([z.array(RelatedPair), z.array(Label)]),
  reads: (input) => [input],
  huggingFace: {
    listsOne: (first) => typeof first === "object" && first !== null && !("head" in first),
  },
});
