/** Schemas that a value must be at once, without those they refer to, as one node: the strictest of each keyword. */
import { commonMultiple, type Decimal, decimalOf } from "../decimal.ts";
import { StructureError } from "../expression.ts";
import { arrayNode } from "./array-node.ts";
import { isWithin } from "./formats.ts";
import { asserting, types } from "./keywords.ts";
import type { Located } from "./located.ts";
import {
  accepts,
  anything,
  type Bound,
  type Node,
  nothing,
  type NumberNode,
  sameJson,
  type StringNode,
  union,
} from "./node.ts";
import { objectNode } from "./object-node.ts";
import { expectReadable, type Inside, least, most, Stated } from "./stated.ts";
import { areTold, toldMultiples } from "./write-multiples.ts";

type Type = (typeof types)[number];

/** @throws StructureError */
export function typedNode(bases: readonly Located[], inside: Inside): Node {
  const stated = new Stated(bases);
  if (stated.excepts("untold").length > 0) return { kind: "untold" };
  const allowed = typesOf(stated);
  const values = valuesOf(stated);
  if (values !== null) {
    const had = new Set(values.map(typeOf));
    for (const type of types) if (!had.has(type)) allowed.delete(type);
  }
  const node = union(
    types
      .filter((type) => allowed.has(type))
      .map((type) => ofType(type, stated, { inside, whole: allowed.has("integer") })),
  );
  if (values === null) return isFree(stated, node) ? anything : node;
  const kept = values.filter((value) => accepts(node, value, null));
  return kept.length === 0 ? nothing : { kind: "literal", values: kept };
}

function typeOf(value: unknown): Type {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  const type = typeof value;
  return types.find((each) => each === type) ?? "object";
}

const isType = (value: unknown): value is Type | "integer" =>
  value === "integer" || types.some((type) => type === value);

function typesOf(stated: Stated): Set<Type | "integer"> {
  let allowed = new Set<Type | "integer">(types);
  for (const { value, path } of stated.all("type")) {
    const list = Array.isArray(value) ? value : [value];
    const wrong = list.find((each) => !isType(each));
    if (wrong !== undefined || list.length === 0) {
      throw new StructureError(
        `type ${JSON.stringify(wrong ?? []).slice(0, 100)} is none of JSON's: ${types.join(", ")}, integer`,
        path,
      );
    }
    const own = new Set(list.filter(isType));
    // Whole numbers are numbers.
    const whole = own.has("integer") && !own.has("number");
    if (whole) own.add("number");
    const integer = whole ? allowed.has("number") : allowed.has("integer");
    allowed = new Set([...allowed].filter((type) => type !== "integer" && own.has(type)));
    if (integer && allowed.has("number")) allowed.add("integer");
  }
  return allowed;
}

/** Whether nothing at all is said. */
function isFree(stated: Stated, node: Node): boolean {
  return (
    node.kind === "union" &&
    !stated.hasExcepts &&
    stated.bases.every(({ schema }) => asserting.every((keyword) => schema[keyword] === undefined))
  );
}

function valuesOf(stated: Stated): unknown[] | null {
  const lists = [
    ...stated.all("const").map(({ value }) => [value]),
    ...stated.all("enum").map(({ value, path }) => {
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

type Reading = { readonly inside: Inside; readonly whole: boolean };

function ofType(type: Type, stated: Stated, { inside, whole }: Reading): Node {
  const excepted = stated.excepts("values").flatMap(({ values }) => values);
  switch (type) {
    case "null":
      return excepted.includes(null) ? nothing : { kind: "null" };
    case "boolean": {
      const values = [true, false].filter((value) => !excepted.includes(value));
      return values.length === 2 ? { kind: "boolean" } : literalOf(values);
    }
    case "number":
      return numberNodes(stated, whole, excepted);
    case "string":
      return stringNode(stated, excepted);
    case "array":
      return arrayNode(stated, inside);
    case "object":
      return objectNode(stated, inside);
  }
}

function literalOf(values: readonly unknown[]): Node {
  return values.length === 0 ? nothing : { kind: "literal", values };
}

function numberNodes(stated: Stated, whole: boolean, excepted: readonly unknown[]): Node {
  const low = strictest(stated, ["minimum", "exclusiveMinimum"], 1);
  const high = strictest(stated, ["maximum", "exclusiveMaximum"], -1);
  const step = stated.all("multipleOf").reduce<Decimal | null>((all, { value, path }) => {
    if (typeof value !== "number" || value <= 0) {
      throw new StructureError("multipleOf is no number above 0", path);
    }
    const own = decimalOf(value);
    return all === null ? own : commonMultiple(all, own);
  }, null);
  const node: NumberNode = {
    kind: "number",
    integer: whole,
    low,
    high,
    step: whole && step !== null ? commonMultiple(step, { digits: 1n, scale: 0 }) : step,
    notSteps: stated.excepts("step").map(({ step: not }) => decimalOf(not)),
  };
  const [first] = stated.all("multipleOf");
  if (first !== undefined && !areTold(node)) throw new StructureError(toldMultiples, first.path);
  const points = [...new Set(excepted)].filter((value) => typeof value === "number");
  return union(
    apartFrom(
      node,
      points.toSorted((a, b) => a - b),
    ),
  );
}

/** Without some values: from one to the next. */
function apartFrom(node: NumberNode, points: readonly number[]): NumberNode[] {
  const inside = points.filter((value) => accepts(node, value, null));
  const ends = [null, ...inside, null];
  return ends.slice(1).flatMap((end, at) => {
    const begin = ends[at] ?? null;
    const low = begin === null ? node.low : { value: begin, inclusive: false };
    const high = end === null ? node.high : { value: end, inclusive: false };
    const isBelow = low !== null && high !== null && low.value > high.value;
    return isBelow ? [] : [{ ...node, low, high }];
  });
}

/** @param sign 1 where the largest is the strictest */
function strictest(stated: Stated, [closed, open]: readonly [string, string], sign: 1 | -1) {
  const bounds: Bound[] = [
    ...stated.numbers(open).map((value) => ({ value, inclusive: false })),
    ...stated.numbers(closed).map((value) => ({ value, inclusive: true })),
  ];
  return bounds.toSorted((a, b) => sign * (b.value - a.value))[0] ?? null;
}

function stringNode(stated: Stated, excepted: readonly unknown[]): StringNode | typeof nothing {
  const formats = stated.texts("format").map(({ value }) => value);
  const patterns = stated
    .texts("pattern")
    .filter(({ value }) => !formats.some((format) => isWithin(format, value)));
  for (const pattern of patterns) expectReadable(pattern);
  const min = most(stated.counts("minLength"));
  const max = least(stated.counts("maxLength"));
  if (max !== null && min > max) return nothing;
  return {
    kind: "string",
    min,
    max,
    patterns: patterns.map(({ value }) => value),
    formats,
    notPatterns: stated.excepts("pattern").map(({ pattern }) => pattern),
    notValues: excepted.filter((value) => typeof value === "string"),
  };
}
