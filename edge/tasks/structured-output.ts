/**
 * What a text must look like, as callers of OpenAI, vLLM and TGI ask for it: read as the one `structure` that workers
 * know. Whether a schema or a grammar can be kept to, a worker says.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { type Structure, structureLimits } from "#contract/tasks/structure.ts";

const { charactersMax, schemaCharactersMax, choicesMax, choiceCharactersMax } = structureLimits;
/** Objects and lists within others. */
const depthMax = 100;

const text = z.string().min(1).max(charactersMax);
const schema = z
  .record(z.string(), z.unknown())
  .describe("A JSON Schema (draft 2020-12). What of it cannot be kept to is refused by name.");
const schemaText = z
  .string()
  .min(1)
  .max(schemaCharactersMax)
  .describe("A JSON Schema, as JSON text.");
const pattern = text.describe("A regular expression that the whole text matches.");

/** Nothing is asked of it. */
export const FreeText = z.strictObject({ type: z.literal("text").describe("Any text.") });

export const ResponseFormat = z
  .discriminatedUnion("type", [
    FreeText,
    z.strictObject({
      type: z.literal("json_object").describe("A JSON object."),
      schema: schema.nullish().describe("A JSON Schema that the object validates."),
      value: schema.nullish().describe("The same as schema, under TGI's name."),
    }),
    z.strictObject({
      type: z.literal("json_schema").describe("JSON that a schema validates."),
      json_schema: z
        .strictObject({
          name: z
            .string()
            .regex(/^[\w-]{1,64}$/)
            .describe("Of the caller's own."),
          description: z.string().nullish().describe("Accepted, and not shown to the model."),
          schema: schema.nullish().describe("The JSON Schema. Absent: any JSON object."),
          strict: z.boolean().nullish().describe("A schema is always kept to, whatever this says."),
        })
        .describe("The schema and its name."),
    }),
    z.strictObject({
      type: z.literal("json").describe("The same as json_object, under TGI's older name."),
      value: schema,
    }),
    z.strictObject({
      type: z.literal("regex").describe("A text that a regular expression matches, as TGI has it."),
      value: pattern,
    }),
  ])
  .describe("What the text must look like. Default: any text.");

/** Exactly one of them. */
export const StructuredOutputs = z
  .strictObject({
    json: z.union([schema, schemaText]).optional().describe("JSON that this schema validates."),
    regex: pattern.optional(),
    choice: z
      .array(z.string().min(1).max(choiceCharactersMax))
      .min(1)
      .max(choicesMax)
      .optional()
      .describe("One of these texts."),
    grammar: text.optional().describe("A text of this grammar, in GBNF, whose first rule is root."),
    json_object: z.literal(true).optional().describe("A JSON object."),
    structural_tag: text
      .optional()
      .describe(
        "Free text with parts that have a structure: a structural tag of XGrammar, as JSON text.",
      ),
  })
  .describe("What the text must look like, as vLLM words it. Exactly one of its fields.");

export const structureFields = {
  response_format: ResponseFormat.optional(),
  structured_outputs: StructuredOutputs.optional(),
} as const;

export const TgiGrammar = z
  .discriminatedUnion("type", [
    z.strictObject({
      type: z.literal("json").describe("JSON that a schema validates."),
      value: z.union([schema, schemaText]).describe("The schema."),
    }),
    z.strictObject({
      type: z.literal("regex").describe("A text that a regular expression matches."),
      value: pattern,
    }),
    z.strictObject({
      type: z.literal("json_schema").describe("JSON that a schema with a name validates."),
      value: z
        .strictObject({
          name: z.string().max(64).nullish().describe("Of the caller's own."),
          schema,
        })
        .describe("The schema and its name."),
    }),
  ])
  .describe("What the text must look like, as TGI words it.");

/** A structure, and the field that the caller named it in. */
export type NamedStructure = { readonly structure: Structure; readonly field: string };

type Fields = z.infer<z.ZodObject<typeof structureFields>>;

/** @returns null: any text @throws CodedError for two at once, and for a schema that is too large */
export function readStructure({
  response_format: format,
  structured_outputs: outputs,
}: Fields): NamedStructure | null {
  const first = format === undefined ? null : ofResponseFormat(format);
  const second = outputs === undefined ? null : ofStructuredOutputs(outputs);
  if (first === null || second === null) return first ?? second;
  throw new CodedError(
    "invalid_value",
    "structured_outputs and response_format both say what the text must look like. Send one of them.",
    { param: "structured_outputs" },
  );
}

function ofResponseFormat(format: z.infer<typeof ResponseFormat>): NamedStructure | null {
  const field = "response_format";
  switch (format.type) {
    case "text":
      return null;
    case "json_object": {
      const given = format.schema ?? format.value ?? null;
      return jsonOf(
        given,
        format.schema ? `${field}.schema` : given === null ? field : `${field}.value`,
      );
    }
    case "json_schema": {
      const given = format.json_schema.schema ?? null;
      return jsonOf(given, given === null ? field : `${field}.json_schema.schema`);
    }
    case "json":
      return jsonOf(format.value, `${field}.value`);
    case "regex":
      return { structure: { type: "regex", pattern: format.value }, field: `${field}.value` };
  }
}

function ofStructuredOutputs(outputs: z.infer<typeof StructuredOutputs>): NamedStructure {
  const given = Object.entries(outputs).filter(([, value]) => value !== undefined);
  const [first, second] = given;
  if (first === undefined || second !== undefined) {
    const names = given.map(([name]) => name).join(" and ") || "none";
    throw new CodedError(
      "invalid_value",
      `structured_outputs takes exactly one of its fields, and has ${names}. Send one.`,
      { param: "structured_outputs" },
    );
  }
  const { json, regex, choice, grammar, structural_tag: tag } = outputs;
  const field = `structured_outputs.${first[0]}`;
  if (json !== undefined) return jsonOf(json, field);
  if (regex !== undefined) return { structure: { type: "regex", pattern: regex }, field };
  if (choice !== undefined) return { structure: { type: "choice", choices: choice }, field };
  if (grammar !== undefined) return { structure: { type: "grammar", grammar }, field };
  if (tag !== undefined) return { structure: { type: "structural_tag", tag }, field };
  return { structure: { type: "json_object" }, field };
}

export function ofTgiGrammar(grammar: z.infer<typeof TgiGrammar>): NamedStructure {
  const field = "parameters.grammar.value";
  if (grammar.type === "regex")
    return { structure: { type: "regex", pattern: grammar.value }, field };
  if (grammar.type === "json_schema") return jsonOf(grammar.value.schema, `${field}.schema`);
  return jsonOf(grammar.value, field);
}

/** @param given an object, or JSON text; null: any object */
function jsonOf(given: Record<string, unknown> | string | null, field: string): NamedStructure {
  if (given === null) return { structure: { type: "json_object" }, field };
  const tooDeep = typeof given !== "string" && isDeeper(given, depthMax);
  const written = tooDeep ? "" : typeof given === "string" ? given : JSON.stringify(given);
  if (tooDeep || written.length > schemaCharactersMax) {
    const limit = tooDeep ? `${depthMax} levels` : `${schemaCharactersMax} characters`;
    throw new CodedError(
      "invalid_json_schema",
      `${field} is over its limit of ${limit}. Send a smaller schema.`,
      {
        param: field,
      },
    );
  }
  return { structure: { type: "json_schema", schema: written }, field };
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((each) => isDeeper(each, levels - 1));
}
