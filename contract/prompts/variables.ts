/**
 * What a prompt's variables may be: the part of JSON Schema that a value can be held to without being searched, of
 * values that are flat. A text is put in as it is; a number, a truth value or a list as its JSON.
 */
import * as z from "zod";
import { limits } from "../limits.ts";
import { variableName } from "./template.ts";

const variableLimits = {
  variablesMax: 50,
  /** Of an `enum`, and of a value that is a list. */
  valuesMax: 1_000,
  descriptionCharactersMax: 1_000,
} as const;

const scalarTypes = ["string", "number", "integer", "boolean"] as const;
const scalar = z.union([z.string().max(limits.stringCharactersMax), z.number(), z.boolean()]);

/** Of a variable. */
export const Value = z.union([scalar, z.array(scalar).max(variableLimits.valuesMax)]);
export type Value = z.infer<typeof Value>;

export const VariableSchema = z.strictObject({
  type: z.enum([...scalarTypes, "array"]).describe("Of what type it is."),
  title: z.string().max(200).optional().describe("A name for people."),
  description: z
    .string()
    .max(variableLimits.descriptionCharactersMax)
    .optional()
    .describe("What it is for."),
  default: Value.optional().describe(
    "What it is where a call does not say. Without one, a call must.",
  ),
  enum: z
    .array(scalar)
    .min(1)
    .max(variableLimits.valuesMax)
    .optional()
    .describe("All that it may be."),
  minLength: z.int().nonnegative().optional().describe("Of a string, in UTF-16 units."),
  maxLength: z.int().nonnegative().optional().describe("Of a string, in UTF-16 units."),
  minimum: z.number().optional().describe("Of a number."),
  maximum: z.number().optional().describe("Of a number."),
  items: z
    .strictObject({ type: z.enum(scalarTypes).describe("Of what type each is.") })
    .optional()
    .describe("Of a list, what its items are."),
  minItems: z.int().nonnegative().optional().describe("Of a list."),
  maxItems: z.int().nonnegative().optional().describe("Of a list."),
});
export type VariableSchema = z.infer<typeof VariableSchema>;

export const VariablesSchema = z.strictObject({
  type: z.literal("object").describe("Variables are the fields of an object."),
  properties: z
    .record(z.string().regex(variableName), VariableSchema)
    .refine((properties) => Object.keys(properties).length <= variableLimits.variablesMax, {
      error: `a prompt may have ${variableLimits.variablesMax} variables: leave some out`,
    })
    .describe("Each variable, by the name that stands between its braces."),
  required: z
    .array(z.string().max(64))
    .max(variableLimits.variablesMax)
    .optional()
    .describe("Every variable without a default is, whether it is named here or not."),
  additionalProperties: z
    .literal(false)
    .optional()
    .describe("A call never gives variables that the prompt has not."),
});
export type VariablesSchema = z.infer<typeof VariablesSchema>;

export type Values = Readonly<Record<string, unknown>>;

/** @returns what is wrong with a value, as the end of a sentence; null: nothing is */
export function problemOf(schema: VariableSchema, value: unknown): string | null {
  const { type } = schema;
  if (!isOfType(type, value)) return `is ${nameOf(value)} where ${article(type)} is expected`;
  if (schema.enum !== undefined && !schema.enum.some((each) => each === value))
    return `must be one of ${schema.enum.slice(0, 20).map(shown).join(", ")}`;
  if (typeof value === "string") return sizeProblem(value.length, "characters", lengthsOf(schema));
  if (typeof value === "number")
    return sizeProblem(value, "", { min: schema.minimum, max: schema.maximum });
  if (!Array.isArray(value)) return null;
  const { items, minItems: min, maxItems: max = variableLimits.valuesMax } = schema;
  const types = items === undefined ? scalarTypes : [items.type];
  const at = value.findIndex((each) => !types.some((allowed) => isOfType(allowed, each)));
  if (at >= 0) return `has ${nameOf(value[at])} at ${at} where ${types.join(" or ")} is expected`;
  return sizeProblem(value.length, "items", { min, max });
}

function lengthsOf({ minLength, maxLength }: VariableSchema): Bounds {
  return { min: minLength, max: maxLength ?? limits.stringCharactersMax };
}

type Bounds = { min?: number | undefined; max?: number | undefined };

function sizeProblem(size: number, unit: string, { min, max }: Bounds): string | null {
  const told = (bound: number) => `${bound}${unit === "" ? "" : ` ${unit}`}`;
  if (min !== undefined && size < min) return `is below its limit of ${told(min)}`;
  if (max !== undefined && size > max) return `is over its limit of ${told(max)}`;
  return null;
}

function isOfType(type: VariableSchema["type"], value: unknown): boolean {
  switch (type) {
    case "integer":
      return Number.isInteger(value);
    case "array":
      return Array.isArray(value);
    default:
      return typeof value === type;
  }
}

/** As it stands in a text. */
export function textOf(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}

function nameOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "an array" : article(typeof value);
}

function article(type: string): string {
  return `${/^[aeiou]/.test(type) ? "an" : "a"} ${type}`;
}

function shown(value: unknown): string {
  return JSON.stringify(value).slice(0, 100);
}
