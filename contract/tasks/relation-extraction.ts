/**
 * How two parts of a text are related. Marked with `<e1>…</e1>` and `<e2>…</e2>`: the classes of this pair. Without
 * marks: every ordered pair of the entities that another model finds, each with its best class.
 */
import * as z from "zod";
import { defineTask } from "../task.ts";
import { Label, offsetUnit, Text, topK } from "./fields.ts";
import { Entity } from "./token-classification.ts";

/** What marks the start or the end of a part of a text. */
export const relationMark = /<\/?e[12]>/;

/** Entities of one text that are related: they make 992 pairs. A text with more is refused. */
export const relatedEntitiesMax = 32;

export const RelatedPair = Label.extend({
  head: Entity.describe("The first of the two entities."),
  tail: Entity.describe("The second."),
});
export type RelatedPair = z.infer<typeof RelatedPair>;

export const relationExtraction = defineTask({
  summary: "Tell how parts of a text are related",
  example: {
    model: "relations",
    input: "The <e1>storm</e1> caused the <e2>flood</e2>.",
    parameters: { top_k: 1 },
    output: [{ label: "cause-effect", score: 0.94 }],
    tokens: 14,
  },
  input: Text,
  parameters: z.strictObject({
    top_k: topK.describe(
      "How many classes of the marked pair, or pairs of entities, are kept, the best first. Default: all.",
    ),
    entity_model: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .describe(
        "The model that finds the entities of a text without marks. Default: the one the model itself names.",
      ),
    offset_unit: offsetUnit,
  }),
  /** By score, the best first. */
  output: z.union([z.array(RelatedPair), z.array(Label)]),
  reads: (input) =>
    relationMark.test(input)
      ? [input]
      : [input, ...Array.from({ length: likelyPairs(input) }, () => input)],
  readsEntities: (input) => !relationMark.test(input),
  huggingFace: {
    listsOne: (first) => typeof first === "object" && first !== null && !("head" in first),
  },
});

/** A word that begins with a capital letter, and those that follow it. */
const name = /\p{Lu}[\p{L}\p{N}'’.-]*(?: \p{Lu}[\p{L}\p{N}'’.-]*)*/gu;
/** What no model of ours reads at once needs no counting. */
const charactersLooked = 4_096;
/** With more, the estimate would refuse texts that a model reads once for all of their pairs. */
const entitiesGuessedMax = 12;

/** Ordered pairs of the entities that a text without marks probably holds, before any model has looked for them. */
function likelyPairs(text: string): number {
  const names = text.slice(0, charactersLooked).match(name)?.length ?? 0;
  const entities = Math.min(Math.max(2, names), entitiesGuessedMax);
  return entities * (entities - 1);
}
