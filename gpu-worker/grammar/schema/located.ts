/** Schemas with their places: what a value must be, as a document says it or as it follows from that. */
import { StructureError } from "../expression.ts";
import { isObject } from "./node.ts";

export type Schema = boolean | Readonly<Record<string, unknown>>;

export type Located = {
  readonly schema: Schema;
  /** As a JSON pointer after #. */
  readonly path: string;
  /** Those with the same ask the same. */
  readonly id: string;
  /** Only its own keywords count: those that refer to other schemas were taken already. */
  readonly bare: boolean;
  /** Ids of the schemas whose unevaluatedProperties or unevaluatedItems see what it says of members and items. */
  readonly owners: readonly string[];
  /** A value must not be of it. */
  readonly negated?: true;
  /** Instead of the schema. */
  readonly group?: Group;
  /** Beside the schema, what no schema says. */
  readonly except?: Except;
};

/** A value must be of one of these, each of which is several schemas at once. */
export type Group = {
  readonly id: string;
  readonly path: string;
  readonly options: readonly (readonly Located[])[];
  /** It must be of one alone. */
  readonly exclusive: boolean;
};

export type Except =
  /** None of these: null, booleans, numbers and strings. */
  | { readonly kind: "values"; readonly values: readonly unknown[] }
  | { readonly kind: "pattern"; readonly pattern: string }
  | { readonly kind: "step"; readonly step: number }
  /** It is valid, and not told. */
  | { readonly kind: "untold" }
  /** Some member under another key is not of `schema`. */
  | {
      readonly kind: "member";
      readonly isOther: (name: string) => boolean;
      readonly schema: Schema;
    };

export function schemaIn(value: unknown, path: string): Schema {
  if (typeof value === "boolean" || isObject(value)) return value;
  throw new StructureError("it is no schema: a schema is an object, true or false", path);
}

export function pathTo(path: string, ...keys: readonly (string | number)[]): string {
  const parts = keys.map((key) => String(key).replaceAll("~", "~0").replaceAll("/", "~1"));
  return [path, ...parts].join("/");
}

export function atPlace(value: unknown, path: string): Located {
  return { schema: schemaIn(value, path), path, id: path, bare: false, owners: [] };
}

/** What a keyword of a schema says of values inside. */
export function inside(
  { path, id }: Located,
  keys: readonly (string | number)[],
  value: unknown,
): Located {
  return { ...atPlace(value, pathTo(path, ...keys)), id: pathTo(id, ...keys) };
}

/** What follows from a schema. @param what tells it from others that follow */
export function following(
  { path, id }: Located,
  what: string,
  said: { schema: Schema; except?: Except },
): Located {
  return { ...said, path, id: `${id} ${what}`, bare: false, owners: [] };
}

export function negated(located: Located): Located {
  const { negated: isNegated, ...rest } = located;
  const id = `${located.id} not`;
  return isNegated ? { ...rest, id } : { ...rest, id, owners: [], negated: true };
}

export function ofGroup(group: Group): Located {
  return { schema: true, path: group.path, id: group.id, bare: false, owners: [], group };
}

export function keyOf(all: readonly Located[]): string {
  const keys = all.map(
    ({ id, bare, owners }) =>
      `${id}${bare ? " alone" : ""}${owners.map((each) => ` in ${each}`).join("")}`,
  );
  return [...new Set(keys)].toSorted().join("\n");
}
