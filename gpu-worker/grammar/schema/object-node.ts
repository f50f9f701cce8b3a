/** What several schemas at once say of an object: of members by name, and of all other keys by what they match. */
import { StructureError } from "../expression.ts";
import {
  allTexts,
  both,
  either,
  isEmpty,
  type Language,
  languageOfTexts,
  otherThan,
} from "../regular.ts";
import { following, inside as insideOf, type Located, pathTo } from "./located.ts";
import {
  accepts,
  isNothing,
  isObject,
  type Node,
  nothing,
  type ObjectNode,
  type OtherKeys,
} from "./node.ts";
import { type Base, expectReadable, type Inside, least, most, type Stated } from "./stated.ts";
import { ofPattern, stringLanguage } from "./write-string.ts";

/** What one schema says of each key: `rest` null: nothing of those that none of the others is of. */
type Members = {
  readonly properties: ReadonlyMap<string, Located>;
  readonly patterns: readonly Pattern[];
  readonly rest: Located | null;
};
type Pattern = { readonly keys: string; readonly of: Located };

/** Of patterns: which of them a key matches is told for each choice of them. */
const patternsMax = 8;

export function objectNode(stated: Stated, inside: Inside): ObjectNode | typeof nothing {
  const parts = [
    ...stated.bases.map(membersOf),
    ...stated.bases.flatMap((of) => unevaluated(of, stated)),
  ];
  const required = new Set(stated.all("required").flatMap(requiredNames));
  const declared = new Set([...parts.flatMap((part) => [...part.properties.keys()]), ...required]);
  const names = namesOf(stated, inside);
  const properties = [...declared].map((name) => ({
    name,
    required: required.has(name),
    node: inside(parts.flatMap((part) => sayingOf(name, part))),
  }));
  const possible = properties.filter(({ node, name }) => !isNothing(node) && names.has(name));
  if (properties.some((each) => each.required && !possible.includes(each))) return nothing;
  const max = least(stated.counts("maxProperties"));
  const min = most(stated.counts("minProperties"));
  if (max !== null && max < Math.max(min, required.size)) return nothing;
  return {
    kind: "object",
    properties: possible,
    others: othersOf(parts, { declared, names, inside, isNamed: possible.length > 0 }),
    min,
    max,
    partial: stated.all("unevaluatedProperties").length > 0,
  };
}

function membersOf(of: Base): Members {
  const listed = (keyword: string) => {
    const all = of.schema[keyword] ?? {};
    if (!isObject(all))
      throw new StructureError(`${keyword} is no object`, pathTo(of.path, keyword));
    return Object.entries(all).map(([name, each]) => ({
      keys: name,
      of: insideOf(of, [keyword, name], each),
    }));
  };
  const patterns = listed("patternProperties");
  for (const { keys, of: each } of patterns) expectReadable({ value: keys, path: each.path });
  const rest = of.schema["additionalProperties"];
  return {
    properties: new Map(listed("properties").map(({ keys, of: each }) => [keys, each])),
    patterns,
    rest: rest === undefined ? null : insideOf(of, ["additionalProperties"], rest),
  };
}

/** What unevaluatedProperties says of keys of which those say nothing that it sees. */
function unevaluated(of: Base, { bases }: Stated): Members[] {
  const said = of.schema["unevaluatedProperties"];
  if (said === undefined) return [];
  const seen = bases.filter(({ id, owners }) => id === of.id || owners.includes(of.id));
  const isAll = seen.some(
    ({ id, schema }) =>
      schema["additionalProperties"] !== undefined ||
      (id !== of.id && schema["unevaluatedProperties"] !== undefined),
  );
  if (isAll) return [];
  const evaluated = following(of, "evaluated", { schema: true });
  const all = seen.map(membersOf);
  return [
    {
      properties: new Map(
        all.flatMap((each) => [...each.properties.keys()].map((name) => [name, evaluated])),
      ),
      patterns: all.flatMap((each) => each.patterns.map(({ keys }) => ({ keys, of: evaluated }))),
      rest: insideOf(of, ["unevaluatedProperties"], said),
    },
  ];
}

function requiredNames({ value, path }: { value: unknown; path: string }): string[] {
  if (Array.isArray(value) && value.every((name) => typeof name === "string")) return value;
  throw new StructureError("required is no list of names", path);
}

/** What one schema says of a key's value. */
function sayingOf(name: string, { properties, patterns, rest }: Members): Located[] {
  const own = properties.get(name);
  const matching = patterns
    .filter(({ keys }) => new RegExp(keys, "u").test(name))
    .map(({ of }) => of);
  const all = [...(own === undefined ? [] : [own]), ...matching];
  return all.length > 0 || rest === null ? all : [rest];
}

/** What keys must be. */
type Names = { readonly has: (name: string) => boolean; readonly keys: () => Language };

function namesOf(stated: Stated, inside: Inside): Names {
  const all = stated.all("propertyNames");
  const [first] = all;
  if (first === undefined) return { has: () => true, keys: () => allTexts };
  const node = inside(all.map(({ value, of }) => insideOf(of, ["propertyNames"], value)));
  return {
    has: (name) => accepts(node, name, null),
    keys: () => keysOf(node, first.path),
  };
}

function keysOf(node: Node, path: string): Language {
  switch (node.kind) {
    case "any":
      return allTexts;
    case "string":
      return stringLanguage(node);
    case "literal":
      return languageOfTexts(node.values.filter((value) => typeof value === "string"));
    case "union":
      return node.options.map((option) => keysOf(option, path)).reduce(either, []);
    case "reference":
      throw new StructureError("propertyNames is not kept to where it refers to itself", path);
    default:
      return [];
  }
}

type Keys = {
  readonly declared: ReadonlySet<string>;
  readonly names: Names;
  readonly inside: Inside;
  /** Whether there are members that are known by name. */
  readonly isNamed: boolean;
};
type Class = Names & { readonly matching: readonly string[] };

/** All keys but those that are declared, by which patterns they match. */
function othersOf(parts: readonly Members[], { declared, names, inside, isNamed }: Keys) {
  const patterns = [...new Set(parts.flatMap((part) => part.patterns.map(({ keys }) => keys)))];
  const rests = parts.flatMap(({ rest }) => rest ?? []);
  if (patterns.length === 0 && rests.some(({ schema }) => schema === false)) return [];
  if (patterns.length > patternsMax) {
    const [last] = parts.flatMap((part) => part.patterns.slice(patternsMax));
    throw new StructureError(
      `patternProperties is kept to for at most ${patternsMax} patterns`,
      last?.of.path ?? null,
    );
  }
  const other: Class = {
    has: (name) => !declared.has(name) && names.has(name),
    keys: () => {
      const all = names.keys();
      return declared.size === 0 ? all : both(all, otherThan(languageOfTexts([...declared])));
    },
    matching: [],
  };
  return patterns
    .reduce<Class[]>((all, pattern) => all.flatMap((each) => split(each, pattern)), [other])
    .flatMap((each): OtherKeys[] => {
      const said = parts.flatMap((part) => {
        const own = part.patterns.filter(({ keys }) => each.matching.includes(keys));
        return own.length > 0 ? own.map(({ of }) => of) : (part.rest ?? []);
      });
      const node = inside(said);
      const implied = said.length === 0 && (isNamed || patterns.length > 0);
      return isNothing(node) ? [] : [{ has: each.has, keys: each.keys, node, implied }];
    });
}

/** Those keys that match a pattern, and those that do not. */
function split(of: Class, pattern: string): Class[] {
  const regex = new RegExp(pattern, "u");
  const all = of.keys();
  const matching = ofPattern(pattern);
  const [those, others] = [both(all, matching), both(all, otherThan(matching))];
  return [
    {
      has: (name: string) => of.has(name) && regex.test(name),
      keys: () => those,
      matching: [...of.matching, pattern],
    },
    {
      has: (name: string) => of.has(name) && !regex.test(name),
      keys: () => others,
      matching: of.matching,
    },
  ].filter(({ keys }) => !isEmpty(keys()));
}
