/** Schemas that a value must be at once, without those they refer to, as one node: the strictest of each keyword. */
import { StructureError } from "../expression.ts";
import { withinBoth } from "./formats.ts";
import { asserting } from "./keywords.ts";
import { type Located, pathTo, schemaIn } from "./located.ts";
import {
  accepts,
  anything,
  type ArrayNode,
  type Bound,
  isNothing,
  isObject,
  type Node,
  nothing,
  type NumberNode,
  type ObjectNode,
  sameJson,
  type StringNode,
  union,
} from "./node.ts";
import { readRegex } from "../read-regex.ts";

/** Reads what values inside must be. */
type Inside = (all: readonly Located[]) => Node;

const types = ["null", "boolean", "number", "string", "array", "object"] as const;
type Type = (typeof types)[number];

/** @throws StructureError */
export function typedNode(bases: readonly Located[], inside: Inside): Node {
  const keywords = new Keywords(bases);
  const allowed = typesOf(keywords);
  const node = union(
    types
      .filter((type) => allowed.has(type))
      .map((type) => ofType(type, keywords, { inside, allowed })),
  );
  const values = valuesOf(keywords);
  if (values === null) return isFree(keywords, node) ? anything : node;
  const kept = values.filter((value) => accepts(node, value, null));
  return kept.length === 0 ? nothing : { kind: "literal", values: kept };
}

/** What each of several schemas says with a keyword. */
class Keywords {
  readonly bases: readonly (Located & { schema: Record<string, unknown> })[];

  constructor(bases: readonly Located[]) {
    this.bases = bases.flatMap((base) =>
      typeof base.schema === "boolean" ? [] : [{ ...base, schema: base.schema }],
    );
  }

  all(keyword: string): { value: unknown; path: string }[] {
    return this.bases.flatMap(({ schema, path, part }) =>
      part !== undefined || schema[keyword] === undefined
        ? []
        : [{ value: schema[keyword], path: pathTo(path, keyword) }],
    );
  }

  numbers(keyword: string): number[] {
    return this.all(keyword).map(({ value, path }) => {
      if (typeof value === "number" && Number.isFinite(value)) return value;
      throw new StructureError(`${keyword} is no number`, path);
    });
  }

  counts(keyword: string): number[] {
    return this.all(keyword).map(({ value, path }) => {
      if (typeof value === "number" && Number.isInteger(value) && value >= 0) return value;
      throw new StructureError(`${keyword} is no whole number from 0`, path);
    });
  }

  /** The one text that a keyword has, however often; null: none. @throws where there are several */
  text(keyword: string): Text | null {
    const all = this.all(keyword);
    const [first] = all;
    if (first === undefined) return null;
    const other = all.find(({ value }) => value !== first.value);
    if (other !== undefined) {
      throw new StructureError(
        `two of ${keyword} for one value cannot be kept to at once`,
        other.path,
      );
    }
    if (typeof first.value !== "string")
      throw new StructureError(`${keyword} is no text`, first.path);
    return { value: first.value, path: first.path };
  }
}

const isType = (value: unknown): value is Type | "integer" =>
  value === "integer" || types.some((type) => type === value);

function typesOf(keywords: Keywords): Set<Type | "integer"> {
  let allowed = new Set<Type | "integer">(types);
  for (const { value, path } of keywords.all("type")) {
    const list = Array.isArray(value) ? value : [value];
    const wrong = list.find((each) => !isType(each));
    if (wrong !== undefined || list.length === 0) {
      throw new StructureError(
        `type ${JSON.stringify(wrong ?? []).slice(0, 100)} is none of JSON's`,
        path,
      );
    }
    const own = new Set(list.filter(isType));
    // Whole numbers are numbers.
    const whole = own.has("integer") && !own.has("number");
    if (whole) own.add("number");
    const integer = whole ? allowed.has("number") : allowed.has("integer");
    allowed = new Set([...allowed].filter((type) => type !== "integer" && own.has(type)));
    if (integer) allowed.add("integer");
  }
  return allowed;
}

/** Whether nothing at all is said. */
function isFree(keywords: Keywords, node: Node): boolean {
  return (
    node.kind === "union" &&
    keywords.bases.every(({ schema, part }) => {
      return part !== undefined || asserting.every((keyword) => schema[keyword] === undefined);
    })
  );
}

function valuesOf(keywords: Keywords): unknown[] | null {
  const lists = [
    ...keywords.all("const").map(({ value }) => [value]),
    ...keywords.all("enum").map(({ value, path }) => {
      if (Array.isArray(value)) return value;
      throw new StructureError("enum is no list", path);
    }),
  ];
  const [first, ...others] = lists;
  if (first === undefined) return null;
  return first.filter((value) =>
    others.every((list) => list.some((each) => sameJson(each, value))),
  );
}

type Reading = { readonly inside: Inside; readonly allowed: ReadonlySet<Type | "integer"> };

function ofType(type: Type, keywords: Keywords, { inside, allowed }: Reading): Node {
  switch (type) {
    case "null":
    case "boolean":
      return { kind: type };
    case "number":
      return numberNode(keywords, allowed.has("integer"));
    case "string":
      return stringNode(keywords);
    case "array":
      return arrayNode(keywords, inside);
    case "object":
      return objectNode(keywords, inside);
  }
}

const least = (values: readonly number[], none: number | null) =>
  values.length === 0 ? none : Math.min(...values);
const most = (values: readonly number[]) => Math.max(0, ...values);

function numberNode(keywords: Keywords, integer: boolean): NumberNode | typeof nothing {
  const low = strictest(keywords, ["minimum", "exclusiveMinimum"], 1);
  const high = strictest(keywords, ["maximum", "exclusiveMaximum"], -1);
  const steps = keywords.all("multipleOf");
  const step = steps.reduce((all, { value, path }) => {
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value <= 0) {
      throw new StructureError("multipleOf is kept to for whole numbers above 0", path);
    }
    return leastCommonMultiple(all, value);
  }, 1);
  const below = low !== null && high !== null && low.value > high.value;
  if (below) return nothing;
  const whole = integer || steps.length > 0;
  return { kind: "number", integer: whole, low, high, step: steps.length === 0 ? null : step };
}

/** @param sign 1 where the largest is the strictest */
function strictest(keywords: Keywords, [closed, open]: readonly [string, string], sign: 1 | -1) {
  const bounds: Bound[] = [
    ...keywords.numbers(open).map((value) => ({ value, inclusive: false })),
    ...keywords.numbers(closed).map((value) => ({ value, inclusive: true })),
  ];
  return bounds.toSorted((a, b) => sign * (b.value - a.value))[0] ?? null;
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y > 0) [x, y] = [y, x % y];
  return (a / x) * b;
}

function stringNode(keywords: Keywords): StringNode | typeof nothing {
  const pattern = keywords.text("pattern");
  const format = keywords.text("format");
  const both = pattern !== null && format !== null ? patternOfBoth(format, pattern) : null;
  if (pattern !== null && both === null) expectReadable(pattern);
  const min = most(keywords.counts("minLength"));
  const max = least(keywords.counts("maxLength"), null);
  if (max !== null && min > max) return nothing;
  return {
    kind: "string",
    min,
    max,
    pattern: both ?? pattern?.value ?? null,
    format: both === null ? (format?.value ?? null) : null,
  };
}

type Text = { value: string; path: string };

/** @throws StructureError but for patterns that are known to go with a format */
function patternOfBoth(format: Text, pattern: Text): string {
  const both = withinBoth(format.value, pattern.value);
  if (both !== null) return `^(?:${both})$`;
  throw new StructureError(
    `a pattern and the format ${format.value} for one value cannot be kept to at once. Leave one of them out`,
    pattern.path,
  );
}

function expectReadable({ value, path }: Text): void {
  try {
    readRegex(value, { anywhere: true });
    // JavaScript's reading is the one that values of an enum are tested with.
    RegExp(value, "u");
  } catch (error) {
    throw new StructureError(error instanceof Error ? error.message : String(error), path);
  }
}

function arrayNode(keywords: Keywords, inside: Inside): ArrayNode | typeof nothing {
  const min = most(keywords.counts("minItems"));
  const max = least(keywords.counts("maxItems"), null);
  if (max !== null && min > max) return nothing;
  const prefixes = keywords.bases.map((base) => itemsOf(base));
  const length = Math.max(0, ...prefixes.map(({ prefix }) => prefix.length));
  const at = (place: number) =>
    inside(prefixes.flatMap(({ prefix, rest }) => prefix[place] ?? rest ?? []));
  const prefix = Array.from({ length: Math.min(length, max ?? length) }, (_, place) => at(place));
  if (prefix.slice(0, min).some(isNothing)) return nothing;
  return { kind: "array", prefix, items: at(length), min, max };
}

function itemsOf({ schema, path, part }: Keywords["bases"][number]) {
  const given = part === undefined ? schema["prefixItems"] : undefined;
  if (given !== undefined && !Array.isArray(given)) {
    throw new StructureError("prefixItems is no list of schemas", pathTo(path, "prefixItems"));
  }
  const prefix = (given ?? []).map((each, place) =>
    located(each, pathTo(path, "prefixItems", place)),
  );
  const name = ["items", "unevaluatedItems"].find((each) => schema[each] !== undefined);
  const rest =
    name === undefined || part !== undefined ? null : located(schema[name], pathTo(path, name));
  return { prefix, rest };
}

function located(value: unknown, path: string): Located {
  return { schema: schemaIn(value, path), path, bare: false };
}

type ObjectParts = {
  readonly properties: ReadonlyMap<string, Located>;
  readonly patterns: readonly {
    readonly keys: string;
    readonly path: string;
    readonly of: Located;
  }[];
  readonly rest: Located | null;
};

function objectNode(keywords: Keywords, inside: Inside): ObjectNode | typeof nothing {
  const parts = keywords.bases.filter(({ part }) => part === undefined).map(objectParts);
  const required = new Set(keywords.all("required").flatMap(requiredNames));
  const declared = new Set([
    ...parts.flatMap(({ properties }) => [...properties.keys()]),
    ...required,
  ]);
  const properties = [...declared].map((name) => ({
    name,
    required: required.has(name),
    node: inside(parts.flatMap((part) => sayingOf(name, part))),
  }));
  const names = keywords.all("propertyNames").map(({ value, path }) => located(value, path));
  const nameNode = names.length === 0 ? null : inside(names);
  const named = (name: string) => nameNode === null || accepts(nameNode, name, null);
  const possible = properties.filter(({ node, name }) => !isNothing(node) && named(name));
  if (properties.some((each) => each.required && !possible.includes(each))) return nothing;
  const rests = parts.flatMap(({ rest }) => rest ?? []);
  const rest = inside(rests);
  const max = least(keywords.counts("maxProperties"), null);
  const node: ObjectNode = {
    kind: "object",
    properties: possible,
    pattern: patternOf(parts, {
      properties: [...declared],
      inside,
      closed: isNothing(rest) || rests.length === 0,
    }),
    rest,
    restImplied: rests.length === 0,
    names: nameNode,
    min: most(keywords.counts("minProperties")),
    max,
  };
  expectNames(node, keywords);
  return max !== null && max < Math.max(node.min, required.size) ? nothing : node;
}

function objectParts({ schema, path }: Keywords["bases"][number]): ObjectParts {
  const listed = (keyword: string) => {
    const all = schema[keyword] ?? {};
    if (!isObject(all)) throw new StructureError(`${keyword} is no object`, pathTo(path, keyword));
    return Object.entries(all).map(([name, of]) => ({
      name,
      of: located(of, pathTo(path, keyword, name)),
    }));
  };
  const patterns = listed("patternProperties").map(({ name, of }) => {
    expectReadable({ value: name, path: of.path });
    return { keys: name, path: of.path, of };
  });
  const keyword = ["additionalProperties", "unevaluatedProperties"].find(
    (each) => schema[each] !== undefined,
  );
  return {
    properties: new Map(listed("properties").map(({ name, of }) => [name, of])),
    patterns,
    rest: keyword === undefined ? null : located(schema[keyword], pathTo(path, keyword)),
  };
}

function requiredNames({ value, path }: { value: unknown; path: string }): string[] {
  if (Array.isArray(value) && value.every((name) => typeof name === "string")) return value;
  throw new StructureError("required is no list of names", path);
}

/** What one schema says of a key's value. */
function sayingOf(name: string, { properties, patterns, rest }: ObjectParts): Located[] {
  const own = properties.get(name);
  const matching = patterns
    .filter(({ keys }) => new RegExp(keys, "u").test(name))
    .map(({ of }) => of);
  const all = [...(own === undefined ? [] : [own]), ...matching];
  return all.length > 0 || rest === null ? all : [rest];
}

type Keys = { properties: readonly string[]; inside: Inside; closed: boolean };

function patternOf(
  parts: readonly ObjectParts[],
  { properties, inside, closed }: Keys,
): ObjectNode["pattern"] {
  const all = parts.flatMap((part) => part.patterns.map((pattern) => ({ ...pattern, part })));
  const [first, second] = all;
  if (first === undefined) return null;
  if (second !== undefined) {
    throw new StructureError("patternProperties is kept to for one pattern", second.path);
  }
  if (!closed || properties.some((name) => new RegExp(first.keys, "u").test(name))) {
    throw new StructureError(
      "patternProperties is kept to where it matches no property, and additionalProperties is false or left out",
      first.path,
    );
  }
  const others = parts.flatMap((part) => (part === first.part ? [] : (part.rest ?? [])));
  return { keys: first.keys, node: inside([first.of, ...others]) };
}

/** Keys that are free are written from what they must be, or not at all. */
function expectNames(node: ObjectNode, keywords: Keywords): void {
  const { names, properties, pattern, rest, restImplied } = node;
  if (names === null || isNothing(rest) || (restImplied && properties.length > 0)) return;
  const written = names.kind === "string" || (names.kind === "literal" && properties.length === 0);
  if (written && properties.length === 0 && pattern === null) return;
  const [at] = keywords.all("propertyNames");
  throw new StructureError(
    "propertyNames is kept to for strings, and not beside properties or patternProperties",
    at?.path ?? null,
  );
}
