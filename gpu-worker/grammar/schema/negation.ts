/**
 * What a value must be so as not to be of a schema: it breaks one of its keywords. Each way is a list of what it must
 * be at once. Ways that cannot be told are refused; where only some of the values of a way can be, the others are told
 * to be untold.
 */
import { StructureError } from "../expression.ts";
import type { Document } from "./document.ts";
import { annotations, types } from "./keywords.ts";
import {
  atPlace,
  following,
  inside,
  type Except,
  type Located,
  negated,
  pathTo,
  type Schema,
} from "./located.ts";
import { isObject } from "./node.ts";
import { expectReadable } from "./stated.ts";

type Ways = (readonly Located[])[];
type Keyword = {
  readonly of: Located;
  readonly schema: Readonly<Record<string, unknown>>;
  readonly keyword: string;
  readonly value: unknown;
  readonly document: Document;
};

/** @returns none: every value is of it @throws StructureError */
export function waysNotToBe(located: Located, document: Document): Ways {
  const { schema } = located;
  if (schema === true) return [];
  if (schema === false) return [[]];
  return Object.entries(schema).flatMap(([keyword, value]) => {
    if (annotations.has(keyword) || beside.has(keyword) || value === undefined) return [];
    const breaking = Object.hasOwn(breakings, keyword) ? breakings[keyword] : undefined;
    if (breaking === undefined) {
      throw new StructureError(
        `${keyword.slice(0, 100)} is not kept to under not, nor where one of oneOf or if must not hold`,
        pathTo(located.path, keyword),
      );
    }
    return breaking({ of: located, schema, keyword, value, document });
  });
}

/** What says nothing by itself, but beside contains or if. */
const beside = new Set(["minContains", "maxContains", "then", "else"]);

const breakings: Readonly<Record<string, (keyword: Keyword) => Ways>> = {
  type: otherTypes,
  enum: (each) => otherValues(each, Array.isArray(each.value) ? each.value : []),
  const: (each) => otherValues(each, [each.value]),
  minimum: (each) => said(each, { type: "number", exclusiveMaximum: each.value }),
  maximum: (each) => said(each, { type: "number", exclusiveMinimum: each.value }),
  exclusiveMinimum: (each) => said(each, { type: "number", maximum: each.value }),
  exclusiveMaximum: (each) => said(each, { type: "number", minimum: each.value }),
  multipleOf: (each) => {
    const step = numberIn(each);
    if (step <= 0) throw new StructureError("multipleOf is no number above 0", placeOf(each));
    return said(each, { type: "number" }, { kind: "step", step });
  },
  minLength: (each) => below(each, "string", "maxLength"),
  maxLength: (each) => above(each, "string", "minLength"),
  pattern: (each) => {
    const pattern = String(each.value);
    expectReadable({ value: pattern, path: placeOf(each) });
    return said(each, { type: "string" }, { kind: "pattern", pattern });
  },
  minItems: (each) => below(each, "array", "maxItems"),
  maxItems: (each) => above(each, "array", "minItems"),
  prefixItems: (each) =>
    list(each).flatMap((item, at) => {
      const prefixItems = [...Array.from({ length: at }, () => true), { not: item }];
      return said(each, { type: "array", minItems: at + 1, prefixItems }, undefined, at);
    }),
  items: otherItems,
  contains: otherCounts,
  minProperties: (each) => below(each, "object", "maxProperties"),
  maxProperties: (each) => above(each, "object", "minProperties"),
  required: (each) =>
    list(each).flatMap((name) =>
      said(
        each,
        { type: "object", properties: { [String(name)]: false } },
        undefined,
        String(name),
      ),
    ),
  properties: (each) => entries(each).flatMap(([name, of]) => memberNot(each, name, of)),
  additionalProperties: otherMembers,
  allOf: (each) => list(each).map((part, at) => [negated(partOf(each, part, at))]),
  anyOf: (each) => [list(each).map((part, at) => negated(partOf(each, part, at)))],
  oneOf: notOne,
  not: (each) => [[inside(each.of, ["not"], each.value)]],
  $ref: ({ of, schema, value, document }) => {
    const at = pathTo(of.path, "$ref");
    const found = document.resolve(value, schema, at);
    return [[negated(atPlace(found.schema, found.path))]];
  },
  if: notBranches,
  dependentRequired: (each) =>
    entries(each).flatMap(([name, others]) =>
      (Array.isArray(others) ? others : []).flatMap((other) =>
        said(
          each,
          { type: "object", required: [name], properties: { [String(other)]: false } },
          undefined,
          `${name} ${String(other)}`,
        ),
      ),
    ),
  dependentSchemas: (each) =>
    entries(each).map(([name, of]) => [
      following(each.of, `has ${name}`, { schema: { type: "object", required: [name] } }),
      negated(inside(each.of, ["dependentSchemas", name], of)),
    ]),
};

function said(each: Keyword, schema: Schema, except?: Except, which: string | number = ""): Ways {
  const what = `breaks ${each.keyword} ${which}`;
  return [[following(each.of, what, except === undefined ? { schema } : { schema, except })]];
}

function list({ value, of, keyword }: Keyword): unknown[] {
  if (Array.isArray(value)) return value;
  throw new StructureError(`${keyword} is no list`, pathTo(of.path, keyword));
}

function entries({ value, of, keyword }: Keyword): [string, unknown][] {
  if (isObject(value)) return Object.entries(value);
  throw new StructureError(`${keyword} is no object`, pathTo(of.path, keyword));
}

function partOf({ of, keyword }: Keyword, part: unknown, at: number): Located {
  return inside(of, [keyword, at], part);
}

function numberIn(each: Keyword): number {
  const { value, keyword } = each;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new StructureError(`${keyword} is no number`, placeOf(each));
}

function placeOf({ of, keyword }: Keyword): string {
  return pathTo(of.path, keyword);
}

function below(each: Keyword, type: string, keyword: string): Ways {
  const least = numberIn(each);
  return least > 0 ? said(each, { type, [keyword]: least - 1 }) : [];
}

function above(each: Keyword, type: string, keyword: string): Ways {
  return said(each, { type, [keyword]: numberIn(each) + 1 });
}

function otherTypes(each: Keyword): Ways {
  const own = Array.isArray(each.value) ? each.value : [each.value];
  const others = types.filter((type) => !own.includes(type));
  const isWhole = own.includes("integer") && !own.includes("number");
  const plain = others.filter((type) => type !== "number" || !own.includes("integer"));
  return [
    ...(plain.length === 0 ? [] : said(each, { type: plain })),
    ...(isWhole ? said(each, { type: "number" }, { kind: "step", step: 1 }, "whole") : []),
  ];
}

function otherValues(each: Keyword, values: readonly unknown[]): Ways {
  const simple = values.filter((value) => typeof value !== "object" || value === null);
  const whole = values.filter((value) => typeof value === "object" && value !== null);
  const exceptions = following(each.of, `breaks ${each.keyword}`, {
    schema: true,
    except: { kind: "values", values: simple },
  });
  const others = whole.map((value, at) =>
    negated(following(each.of, `${each.keyword} as schema ${at}`, { schema: schemaOf(value) })),
  );
  return [[exceptions, ...others]];
}

/** That has this value alone. */
function schemaOf(value: unknown): Schema {
  if (Array.isArray(value)) {
    const { length } = value;
    return { type: "array", minItems: length, maxItems: length, prefixItems: value.map(schemaOf) };
  }
  if (!isObject(value)) return { const: value };
  const names = Object.keys(value);
  if (names.length === 0) return { type: "object", maxProperties: 0 };
  const properties = Object.fromEntries(names.map((name) => [name, schemaOf(value[name])]));
  return { type: "object", required: names, properties, additionalProperties: false };
}

function otherItems(each: Keyword): Ways {
  const { schema, value } = each;
  const given = schema["prefixItems"];
  const before = Array.isArray(given) ? given.length : 0;
  if (value === false) return said(each, { type: "array", minItems: before + 1 });
  if (value === true) return [];
  if (before === 0) return said(each, { type: "array", contains: { not: value } });
  throw new StructureError(
    "items beside prefixItems is not kept to under not, nor where one of oneOf or if must not hold",
    pathTo(each.of.path, "items"),
  );
}

function otherCounts(each: Keyword): Ways {
  const { schema, value } = each;
  const least = Number(schema["minContains"] ?? 1);
  const most = schema["maxContains"];
  const fewer =
    least === 1
      ? { type: "array", items: { not: value } }
      : { type: "array", contains: value, minContains: 0, maxContains: least - 1 };
  const more = { type: "array", contains: value, minContains: Number(most) + 1 };
  return [
    ...(least === 0 ? [] : said(each, fewer, undefined, "fewer")),
    ...(most === undefined ? [] : said(each, more, undefined, "more")),
  ];
}

function memberNot(each: Keyword, name: string, of: unknown): Ways {
  if (of === true) return [];
  const properties = { [name]: of === false ? true : { not: of } };
  return said(each, { type: "object", required: [name], properties }, undefined, name);
}

function otherMembers(each: Keyword): Ways {
  const { schema, value, of } = each;
  if (value === true) return [];
  const names = new Set(isObject(schema["properties"]) ? Object.keys(schema["properties"]) : []);
  const given = schema["patternProperties"];
  const patterns = isObject(given) ? Object.keys(given).map((keys) => new RegExp(keys, "u")) : [];
  const isOther = (name: string) =>
    !names.has(name) && !patterns.some((pattern) => pattern.test(name));
  const other = inside(of, ["additionalProperties"], value).schema;
  return said(each, { type: "object" }, { kind: "member", isOther, schema: other });
}

function notOne(each: Keyword): Ways {
  const parts = list(each).map((part, at) => partOf(each, part, at));
  const two = parts.flatMap((one, at) => parts.slice(at + 1).map((other) => [one, other]));
  return [parts.map(negated), ...two];
}

function notBranches({ of, schema }: Keyword): Ways {
  const condition = inside(of, ["if"], schema["if"]);
  const branch = (keyword: string) =>
    schema[keyword] === undefined ? null : negated(inside(of, [keyword], schema[keyword]));
  const [then, otherwise] = [branch("then"), branch("else")];
  return [
    ...(then === null ? [] : [[condition, then]]),
    ...(otherwise === null ? [] : [[negated(condition), otherwise]]),
  ];
}
