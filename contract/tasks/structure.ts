/** What a written text must look like: the model is let write nothing else. */
import * as z from "zod";

export const structureLimits = {
  /** Of a grammar or a pattern as text, in UTF-16 units. */
  charactersMax: 100_000,
  /** Of a schema as JSON: 5,000 properties whose names have 24 characters, each named twice. */
  schemaCharactersMax: 400_000,
  choicesMax: 1_000,
  choiceCharactersMax: 1_000,
} as const;

const text = z.string().min(1).max(structureLimits.charactersMax);

export const Structure = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("json_object").describe("A JSON object, whatever is in it.") }),
  z.strictObject({
    type: z.literal("json_schema").describe("JSON that a schema validates."),
    schema: z
      .string()
      .min(1)
      .max(structureLimits.schemaCharactersMax)
      .describe("A JSON Schema (draft 2020-12), as JSON text."),
  }),
  z.strictObject({
    type: z.literal("regex").describe("A text that a regular expression matches whole."),
    pattern: text.describe("The regular expression."),
  }),
  z.strictObject({
    type: z.literal("choice").describe("One of a list of texts."),
    choices: z
      .array(z.string().min(1).max(structureLimits.choiceCharactersMax))
      .min(1)
      .max(structureLimits.choicesMax)
      .describe("The texts."),
  }),
  z.strictObject({
    type: z.literal("grammar").describe("A text of a grammar."),
    grammar: text.describe("The grammar in GBNF, whose first rule is root."),
  }),
  z.strictObject({
    type: z.literal("structural_tag").describe("Free text with parts that have a structure."),
    tag: text.describe("A structural tag of XGrammar, as JSON text."),
  }),
]);
export type Structure = z.infer<typeof Structure>;
