/**
 * A JSON Schema (draft 2020-12) as nodes. What several schemas say of one value (allOf, a $ref with others beside it,
 * anyOf with others beside it) is put together first. A keyword that is not kept to exactly is refused, with its place:
 * to leave it out silently would break a promise.
 */
import { StructureError } from "../expression.ts";
import { type Located, resolveReference, schemaIn } from "./located.ts";
import { checkKeywords } from "./keywords.ts";
import { areDisjoint, type Node, nothing, union } from "./node.ts";
import { typedNode } from "./typed-node.ts";

/** Of a schema, once its parts are put together. */
const nodesMax = 10_000;
/** Schemas within schemas. */
const depthMax = 100;

export type ReadSchema = { readonly node: Node; readonly nodes: ReadonlyMap<string, Node> };

/** @throws StructureError with the place in the schema */
export function readSchema(schema: unknown): ReadSchema {
  const reader = new SchemaReader(schema);
  const node = reader.read([{ schema: schemaIn(schema, "#"), path: "#", bare: false }]);
  return { node, nodes: reader.nodes };
}

/** What a value must be at once: keywords of one type each, and lists of which one must be it. */
type Flat = { bases: Located[]; groups: Group[]; impossible: boolean };
type Group = { options: Located[]; exclusive: boolean; path: string };

class SchemaReader {
  readonly nodes = new Map<string, Node>();
  readonly #root: unknown;
  /** Those being read, with how deep in objects and arrays each began. */
  readonly #open = new Map<string, number>();
  #depth = 0;

  constructor(root: unknown) {
    this.#root = root;
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
    if (this.nodes.size >= nodesMax) {
      throw new StructureError(`it has more than ${nodesMax} parts once all of it is put together`);
    }
    this.#open.set(key, this.#depth);
    const node = this.#node(all);
    this.#open.delete(key);
    this.nodes.set(key, node);
    return node;
  }

  #node(all: readonly Located[]): Node {
    const { bases, groups, impossible } = this.#flatten(all);
    if (impossible) return nothing;
    const [group, ...others] = groups;
    if (group === undefined) return typedNode(bases, (inner) => this.#inside(inner));
    const rest = [...bases.map(bare), ...others.map(ofGroup)];
    const options = group.options.map((option) => this.read([option, ...rest]));
    if (group.exclusive) this.#expectDisjoint(options, group.path);
    return union(options);
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
    const { schema, path, bare: isBare } = located;
    if (schema === false) flat.impossible = true;
    if (typeof schema === "boolean") return [];
    checkKeywords(schema, path);
    flat.bases.push(located);
    if (isBare) return [];
    for (const [keyword, exclusive] of [
      ["anyOf", false],
      ["oneOf", true],
    ] as const) {
      if (schema[keyword] === undefined) continue;
      flat.groups.push({
        options: partsOf(located, keyword),
        exclusive,
        path: `${path}/${keyword}`,
      });
    }
    const reference = schema["$ref"];
    return [
      ...(reference === undefined ? [] : [resolveReference(this.#root, reference, `${path}/$ref`)]),
      ...(schema["allOf"] === undefined ? [] : partsOf(located, "allOf")),
    ];
  }

  #expectDisjoint(options: readonly Node[], path: string): void {
    for (const [at, option] of options.entries()) {
      const also = options
        .slice(0, at)
        .findIndex((other) => !areDisjoint(option, other, this.nodes));
      if (also === -1) continue;
      throw new StructureError(
        `a value may be of ${also} and of ${at} at once, which oneOf forbids and a grammar cannot tell. ` +
          "Use anyOf, or give each a property whose const differs",
        path,
      );
    }
  }
}

function partsOf({ schema, path }: Located, keyword: string): Located[] {
  const parts = typeof schema === "boolean" ? [] : schema[keyword];
  if (!Array.isArray(parts) || parts.length === 0) {
    throw new StructureError(`${keyword} is no list of schemas`, `${path}/${keyword}`);
  }
  return parts.map((part, at) => {
    const place = `${path}/${keyword}/${at}`;
    return { schema: schemaIn(part, place), path: place, bare: false };
  });
}

function bare(located: Located): Located {
  return { ...located, bare: true };
}

function ofGroup({ options, exclusive, path }: Group): Located {
  const keyword = exclusive ? "oneOf" : "anyOf";
  const schema = { [keyword]: options.map(({ schema: option }) => option) };
  return { schema, path: path.slice(0, -keyword.length - 1), bare: false, part: keyword };
}

function keyOf(all: readonly Located[]): string {
  const keys = all.map(
    ({ path, bare: isBare, part = "" }) => `${path}${isBare ? " alone" : ""} ${part}`,
  );
  return [...new Set(keys)].toSorted().join("\n");
}

function selfReference(path: string): StructureError {
  return new StructureError(
    "it refers to itself with nothing between, so that it says nothing",
    path,
  );
}
