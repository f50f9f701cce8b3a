/**
 * A JSON Schema (draft 2020-12) as nodes. What several schemas say of one value (allOf, a $ref with others beside it,
 * anyOf with others beside it) is put together first. A keyword that is not kept to exactly is refused, with its place:
 * to leave it out silently would break a promise.
 */
import { StructureError } from "../expression.ts";
import { Document } from "./document.ts";
import { checkKeywords } from "./keywords.ts";
import {
  atPlace,
  following,
  type Group,
  inside,
  keyOf,
  type Located,
  negated,
  ofGroup,
  type Schema,
} from "./located.ts";
import { waysNotToBe } from "./negation.ts";
import { areDisjoint, isObject, type Node, nothing, union } from "./node.ts";
import { Stated } from "./stated.ts";
import { typedNode } from "./typed-node.ts";

/** Of a schema, once its parts are put together. */
const nodesMax = 10_000;
/** Schemas within schemas. */
const depthMax = 100;

export type ReadSchema = {
  readonly node: Node;
  readonly nodes: ReadonlyMap<string, Node>;
  /** Where in the schema each was read first, as a JSON pointer. */
  readonly places: ReadonlyMap<Node, string>;
};

/** @throws StructureError with the place in the schema */
export function readSchema(schema: unknown): ReadSchema {
  const reader = new SchemaReader(schema);
  const node = reader.read([atPlace(schema, "#")]);
  return { node, nodes: reader.nodes, places: reader.places };
}

/** What a value must be at once: keywords of one type each, and lists of which one must be it. */
type Flat = { bases: Located[]; groups: Group[]; impossible: boolean };

class SchemaReader {
  readonly nodes = new Map<string, Node>();
  readonly places = new Map<Node, string>();
  readonly #document: Document;
  /** Those being read, with how deep in objects and arrays each began. */
  readonly #open = new Map<string, number>();
  #depth = 0;

  constructor(root: unknown) {
    this.#document = new Document(root);
  }

  /** @param all what a value must be at once */
  read(all: readonly Located[]): Node {
    const key = keyOf(all);
    const known = this.nodes.get(key);
    if (known !== undefined) return known;
    const begun = this.#open.get(key);
    if (begun !== undefined) {
      if (begun === this.#depth) throw selfReference(all[0]?.path ?? "#");
      return { kind: "reference", key };
    }
    const place = all[0]?.path ?? "#";
    if (this.nodes.size >= nodesMax) {
      throw new StructureError(
        `a schema has more than ${nodesMax} parts once all of it is put together. Ask for fewer alternatives at once`,
        place,
      );
    }
    this.#open.set(key, this.#depth);
    const node = this.#node(all);
    this.#open.delete(key);
    this.nodes.set(key, node);
    if (!this.places.has(node)) this.places.set(node, place);
    return node;
  }

  #node(all: readonly Located[]): Node {
    const { bases, groups, impossible } = this.#flatten(all);
    if (impossible) return nothing;
    const [group, ...others] = groups;
    if (group !== undefined)
      return this.#oneOf(group, [...bases.map(bare), ...others.map(ofGroup)]);
    const member = bases.find(({ except }) => except?.kind === "member");
    if (member === undefined) return typedNode(bases, (inner) => this.#inside(inner));
    const rest = bases.filter((base) => base !== member).map(bare);
    return union(otherMembers(member, bases).map((option) => this.read([option, ...rest])));
  }

  /** @param rest what it must be besides */
  #oneOf({ options, exclusive, path }: Group, rest: readonly Located[]): Node {
    const nodes = options.map((option) => this.read([...option, ...rest]));
    if (!exclusive) return union(nodes);
    const kept = nodes.map((node, at) => {
      const also = nodes.flatMap((other, each) =>
        each === at || areDisjoint(node, other, this.nodes) ? [] : [each],
      );
      const [first] = also;
      if (first === undefined) return node;
      try {
        const not = also.flatMap((each) => (options[each] ?? []).map(negated));
        return this.read([...(options[at] ?? []), ...not, ...rest]);
      } catch (error) {
        if (!(error instanceof StructureError)) throw error;
        const pair = `${Math.min(at, first)} and of ${Math.max(at, first)}`;
        const words = `a value may be of ${pair} at once, which oneOf forbids`;
        throw new StructureError(
          `${words} and a grammar cannot tell: ${error.message}. ` +
            "Use anyOf, or give each a property whose const differs",
          path,
        );
      }
    });
    return union(kept);
  }

  #inside(all: readonly Located[]): Node {
    this.#depth += 1;
    if (this.#depth > depthMax) {
      throw new StructureError(`schemas lie in more than ${depthMax} others`, all[0]?.path ?? "#");
    }
    const node = this.read(all);
    this.#depth -= 1;
    return node;
  }

  #flatten(all: readonly Located[]): Flat {
    const flat: Flat = { bases: [], groups: [], impossible: false };
    const seen = new Set<string>();
    const above: string[] = [];
    const take = (located: Located) => {
      const key = keyOf([located]);
      if (above.includes(key)) throw selfReference(located.path);
      if (seen.has(key)) return;
      seen.add(key);
      above.push(key);
      for (const next of this.#takeOne(located, flat)) take(next);
      above.pop();
    };
    for (const located of all) take(located);
    return flat;
  }

  /** @returns what has to be put to it */
  #takeOne(located: Located, flat: Flat): Located[] {
    const { schema, path, group } = located;
    if (group !== undefined) {
      flat.groups.push(group);
      return [];
    }
    if (located.negated) return this.#takeNegated(located, flat);
    if (schema === false) flat.impossible = true;
    if (typeof schema === "boolean") {
      if (located.except !== undefined) flat.bases.push(located);
      return [];
    }
    checkKeywords(schema, path);
    flat.bases.push(located);
    if (located.bare) return [];
    flat.groups.push(...groupsOf(located, schema));
    const { $ref, allOf, not } = schema;
    const more = [
      ...($ref === undefined ? [] : [this.#referred(located, $ref)]),
      ...(allOf === undefined ? [] : partsOf(located, "allOf", allOf)),
    ].map((part) => seenBy(part, located, schema));
    return not === undefined ? more : [...more, negated(inside(located, ["not"], not))];
  }

  #referred({ schema, path }: Located, reference: unknown): Located {
    const found = this.#document.resolve(reference, schema, `${path}/$ref`);
    return atPlace(found.schema, found.path);
  }

  #takeNegated(located: Located, flat: Flat): Located[] {
    const { path, id, schema } = located;
    if (typeof schema !== "boolean") checkKeywords(schema, path);
    const options = waysNotToBe(located, this.#document);
    const [only, second] = options;
    if (only === undefined) flat.impossible = true;
    if (second === undefined) return [...(only ?? [])];
    flat.groups.push({ id, path, options, exclusive: false });
    return [];
  }
}

/** What it says by lists of schemas, of which a value must be of one. */
function groupsOf(located: Located, schema: Exclude<Schema, boolean>): Group[] {
  const { id, path } = located;
  const at = (...keys: string[]) => inside(located, keys, schema[keys[0] ?? ""]);
  const group = (keyword: string, options: Located[][], exclusive = false): Group => ({
    id: [`${id}/${keyword}`, ...located.owners].join(" in "),
    path: `${path}/${keyword}`,
    options: options.map((each) => each.map((part) => seenBy(part, located, schema))),
    exclusive,
  });
  const { anyOf, oneOf, dependentRequired, dependentSchemas, dependencies } = schema;
  const groups: Group[] = [];
  if (anyOf !== undefined)
    groups.push(
      group(
        "anyOf",
        partsOf(located, "anyOf", anyOf).map((part) => [part]),
      ),
    );
  if (oneOf !== undefined)
    groups.push(
      group(
        "oneOf",
        partsOf(located, "oneOf", oneOf).map((part) => [part]),
        true,
      ),
    );
  const branches = ["then", "else"].map((keyword) =>
    schema[keyword] === undefined ? [] : [at(keyword)],
  );
  if (schema["if"] !== undefined && branches.some(({ length }) => length > 0)) {
    const [then = [], otherwise = []] = branches;
    const condition = at("if");
    groups.push(
      group("if", [
        [condition, ...then],
        [negated(condition), ...otherwise],
      ]),
    );
  }
  for (const [keyword, value] of Object.entries({
    dependentRequired,
    dependentSchemas,
    dependencies,
  })) {
    if (value === undefined) continue;
    if (!isObject(value)) throw new StructureError(`${keyword} is no object`, `${path}/${keyword}`);
    for (const [name, needed] of Object.entries(value)) {
      const having = {
        type: "object",
        required: [name, ...requiredIn(needed, `${path}/${keyword}`)],
      };
      const has = following(located, `has ${name} of ${keyword}`, { schema: having });
      const lacks = following(located, `lacks ${name}`, {
        schema: { properties: { [name]: false } },
      });
      const also = Array.isArray(needed) ? [] : [inside(located, [keyword, name], needed)];
      groups.push({
        ...group(keyword, [[has, ...also], [lacks]]),
        id: `${id}/${keyword} of ${name}`,
      });
    }
  }
  return groups;
}

function requiredIn(needed: unknown, path: string): string[] {
  if (!Array.isArray(needed)) return [];
  if (needed.every((name) => typeof name === "string")) return needed;
  throw new StructureError("it is no list of names", path);
}

/** What a part says of members and items is seen by the whole, and by those that see the whole. */
function seenBy(part: Located, whole: Located, schema: Exclude<Schema, boolean>): Located {
  if (part.negated) return part;
  const sees =
    schema["unevaluatedProperties"] !== undefined || schema["unevaluatedItems"] !== undefined;
  const owners = sees ? [...whole.owners, whole.id] : whole.owners;
  return owners.length === 0 ? part : { ...part, owners };
}

/** By the names that are known, a member under another key that is not of what other keys are. */
function otherMembers(member: Located, bases: readonly Located[]): Located[] {
  const { except } = member;
  if (except?.kind !== "member") return [];
  const { isOther, schema } = except;
  const stated = new Stated(bases);
  const names = [
    ...stated.all("properties").flatMap(({ value }) => (isObject(value) ? Object.keys(value) : [])),
    ...stated.all("required").flatMap(({ value }) => (Array.isArray(value) ? value : [])),
  ];
  const known = [...new Set(names)].filter((name) => typeof name === "string" && isOther(name));
  const untold = { schema: { type: "object" }, except: { kind: "untold" as const } };
  return [
    ...known.map((name) => {
      const properties = { [name]: schema === false ? true : { not: schema } };
      const said = { type: "object", required: [name], properties };
      return following(member, `member ${name}`, { schema: said });
    }),
    following(member, "untold", untold),
  ];
}

function partsOf(located: Located, keyword: string, parts: unknown): Located[] {
  if (!Array.isArray(parts) || parts.length === 0) {
    throw new StructureError(`${keyword} is no list of schemas`, `${located.path}/${keyword}`);
  }
  return parts.map((part, at) => inside(located, [keyword, at], part));
}

function bare(located: Located): Located {
  return { ...located, bare: true };
}

function selfReference(path: string): StructureError {
  return new StructureError(
    "it refers to itself with nothing between, so that it says nothing",
    path,
  );
}
