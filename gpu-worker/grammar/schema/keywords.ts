/** Which keywords of JSON Schema are kept to, and what to do instead of those that are not. */
import { StructureError } from "../expression.ts";
import { formats } from "./formats.ts";
import { pathTo } from "./located.ts";

/** What values of JSON are. Beside these a schema names integers, which are numbers. */
export const types = ["null", "boolean", "number", "string", "array", "object"] as const;

export const annotations = new Set([
  "title",
  "description",
  "default",
  "example",
  "examples",
  "deprecated",
  "readOnly",
  "writeOnly",
  "discriminator",
  "contentEncoding",
  "contentMediaType",
  "contentSchema",
  "$comment",
  "$schema",
  "$id",
  "id",
  "$anchor",
  "$dynamicAnchor",
  "$defs",
  "definitions",
]);

const ofNumbers = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
const ofStrings = ["minLength", "maxLength", "pattern", "format"];
const ofArrays = [
  "prefixItems",
  "items",
  "minItems",
  "maxItems",
  "contains",
  "minContains",
  "maxContains",
  "uniqueItems",
  "unevaluatedItems",
];
const ofObjects = [
  "properties",
  "required",
  "additionalProperties",
  "patternProperties",
  "propertyNames",
  "minProperties",
  "maxProperties",
  "unevaluatedProperties",
];

/** Those that say something of a value by themselves. */
export const asserting = [
  "type",
  "enum",
  "const",
  ...ofNumbers,
  ...ofStrings,
  ...ofArrays,
  ...ofObjects,
];

/** Those that say something by other schemas of the same value. */
const applying = [
  "$ref",
  "allOf",
  "anyOf",
  "oneOf",
  "not",
  "if",
  "then",
  "else",
  "dependentRequired",
  "dependentSchemas",
  "dependencies",
];

const keptTo = new Set([...asserting, ...applying]);

const instead: ReadonlyMap<string, string> = new Map([
  ["nullable", 'Add "null" to its type'],
  ["additionalItems", "Use prefixItems and items"],
  ["$dynamicRef", "Use $ref"],
]);

/** @throws StructureError with the place of the first that is not kept to */
export function checkKeywords(schema: Readonly<Record<string, unknown>>, path: string): void {
  for (const [keyword, value] of Object.entries(schema)) {
    if (value === undefined || annotations.has(keyword)) continue;
    const at = pathTo(path, keyword);
    if (!keptTo.has(keyword)) {
      const fix = instead.get(keyword) ?? "Leave it out";
      throw new StructureError(`${keyword.slice(0, 100)} is not kept to here. ${fix}`, at);
    }
    if (keyword === "format" && !Object.hasOwn(formats, String(value))) {
      const known = Object.keys(formats).join(", ");
      throw new StructureError(
        `format ${String(value).slice(0, 100)} is not kept to here, but ${known}`,
        at,
      );
    }
    if (keyword === "items" && Array.isArray(value)) {
      throw new StructureError("a list of schemas for items is written prefixItems", at);
    }
  }
}
