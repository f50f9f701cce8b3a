/** What several schemas at once say of an array. */
import { StructureError } from "../expression.ts";
import { following, inside as insideOf, type Located, negated, pathTo } from "./located.ts";
import { type ArrayNode, type Contained, isNothing, type Node, nothing, sameJson } from "./node.ts";
import { type Base, type Inside, least, most, type Stated } from "./stated.ts";

/** What one schema says of each place: `rest` null: nothing beyond its prefix. */
type Items = { readonly prefix: readonly Located[]; readonly rest: Located | null };

/** Values that are told apart, each of which comes once. */
const uniqueMax = 32;

export function arrayNode(stated: Stated, inside: Inside): ArrayNode | typeof nothing {
  const min = most(stated.counts("minItems"));
  const max = least(stated.counts("maxItems"));
  if (max !== null && min > max) return nothing;
  const all = [...stated.bases.map(itemsOf), ...stated.bases.flatMap((of) => others(of, stated))];
  const length = Math.max(0, ...all.map(({ prefix }) => prefix.length));
  const at = (place: number, ...more: Located[]) =>
    inside([...all.flatMap(({ prefix, rest }) => prefix[place] ?? rest ?? []), ...more]);
  const places = Array.from({ length: Math.min(length, max ?? length) }, (_, place) => place);
  const prefix = places.map((place) => at(place));
  if (prefix.slice(0, min).some(isNothing)) return nothing;
  const node = {
    kind: "array" as const,
    prefix,
    items: at(length),
    min,
    max,
    contained: containedIn(stated, { at, places, length }),
    unique: stated.all("uniqueItems").some(({ value }) => value === true) && (max ?? 2) > 1,
    partial: stated.all("unevaluatedItems").length > 0,
  };
  if (node.unique) expectFew(node, stated);
  return node;
}

function itemsOf(of: Base): Items {
  const given = of.schema["prefixItems"];
  if (given !== undefined && !Array.isArray(given)) {
    throw new StructureError("prefixItems is no list of schemas", pathTo(of.path, "prefixItems"));
  }
  const items = of.schema["items"];
  return {
    prefix: (given ?? []).map((each, place) => insideOf(of, ["prefixItems", place], each)),
    rest: items === undefined ? null : insideOf(of, ["items"], items),
  };
}

/** What unevaluatedItems says beyond the places of which those say something that it sees. */
function others(of: Base, { bases }: Stated): Items[] {
  const said = of.schema["unevaluatedItems"];
  if (said === undefined) return [];
  const seen = bases.filter(({ id, owners }) => id === of.id || owners.includes(of.id));
  const isAll = seen.some(
    ({ id, schema }) =>
      schema["items"] !== undefined || (id !== of.id && schema["unevaluatedItems"] !== undefined),
  );
  if (isAll) return [];
  const length = Math.max(0, ...seen.map((each) => itemsOf(each).prefix.length));
  const evaluated = following(of, "evaluated", { schema: true });
  const rest = insideOf(of, ["unevaluatedItems"], said);
  return [{ prefix: Array.from({ length }, () => evaluated), rest }];
}

type Places = {
  readonly at: (place: number, ...more: Located[]) => Node;
  readonly places: readonly number[];
  readonly length: number;
};

function containedIn(stated: Stated, { at, places, length }: Places): Contained | null {
  const [first, second] = stated.all("contains");
  if (first === undefined) return null;
  if (second !== undefined) {
    throw new StructureError("contains is kept to once for one array", second.path);
  }
  const { schema } = first.of;
  const [min, max] = [schema["minContains"] ?? 1, schema["maxContains"] ?? null];
  if (!isCount(min) || (max !== null && !isCount(max))) {
    throw new StructureError("minContains or maxContains is no whole number from 0", first.path);
  }
  if (min === 0 && max === null) return null;
  const contained = insideOf(first.of, ["contains"], first.value);
  const other = max === null ? [] : [negated(contained)];
  return {
    min,
    max,
    prefix: places.map((place) => at(place, contained)),
    items: at(length, contained),
    otherPrefix: places.map((place) => at(place, ...other)),
    otherItems: at(length, ...other),
  };
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0;
}

function expectFew({ prefix, items, max, contained }: ArrayNode, stated: Stated): void {
  const nodes = max !== null && max <= prefix.length ? prefix : [...prefix, items];
  const values = nodes.map(fewValues);
  const all = values.every((each) => each !== null) ? distinct(values.flat()) : null;
  if (all !== null && all.length <= uniqueMax && contained === null) return;
  const at = stated.all("uniqueItems").find(({ value }) => value === true)?.path ?? null;
  throw new StructureError(
    `uniqueItems is kept to for items of at most ${uniqueMax} values in all, not beside contains. ` +
      "List the values with enum, or leave it out",
    at,
  );
}

/** Of a node that has few; null: it may have more. */
export function fewValues(node: Node): readonly unknown[] | null {
  if (node.kind === "literal") return node.values;
  if (node.kind === "null") return [null];
  if (node.kind === "boolean") return [true, false];
  if (node.kind !== "union") return null;
  const options = node.options.map(fewValues);
  return options.every((each) => each !== null) ? options.flat() : null;
}

export function distinct(values: readonly unknown[]): unknown[] {
  return values.filter((value, at) => values.findIndex((each) => sameJson(each, value)) === at);
}
