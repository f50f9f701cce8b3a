/**
 * What a schema comes to once its parts are put together: values of one type with their limits, or one of several such.
 * Here it is told of a value whether it is one, and of two nodes whether no value can be both.
 */
import { type Decimal, isMultiple } from "../decimal.ts";
import type { Language } from "../regular.ts";
import { codePointsOf } from "./code-points.ts";
import { formatPattern } from "./formats.ts";

export type Bound = { readonly value: number; readonly inclusive: boolean };

export type NumberNode = {
  readonly kind: "number";
  readonly integer: boolean;
  readonly low: Bound | null;
  readonly high: Bound | null;
  /** What it is a multiple of. */
  readonly step: Decimal | null;
  /** What it is no multiple of. */
  readonly notSteps: readonly Decimal[];
};

export type StringNode = {
  readonly kind: "string";
  readonly min: number;
  readonly max: number | null;
  readonly patterns: readonly string[];
  readonly formats: readonly string[];
  readonly notPatterns: readonly string[];
  readonly notValues: readonly string[];
};

/** So many items are of what is contained. */
export type Contained = {
  readonly min: number;
  readonly max: number | null;
  /** By place, as items are: those that are of it, and all others, which are told only where `max` is. */
  readonly prefix: readonly Node[];
  readonly items: Node;
  readonly otherPrefix: readonly Node[];
  readonly otherItems: Node;
};

export type ArrayNode = {
  readonly kind: "array";
  readonly prefix: readonly Node[];
  readonly items: Node;
  readonly min: number;
  readonly max: number | null;
  readonly contained: Contained | null;
  readonly unique: boolean;
  /** More are valid than are told here. */
  readonly partial: boolean;
};

export type Property = { readonly name: string; readonly node: Node; readonly required: boolean };

export type ObjectNode = {
  readonly kind: "object";
  readonly properties: readonly Property[];
  /** All other keys that may be, in groups without a key in common. */
  readonly others: readonly OtherKeys[];
  readonly min: number;
  readonly max: number | null;
  /** More are valid than are told here. */
  readonly partial: boolean;
};

export type OtherKeys = {
  readonly has: (name: string) => boolean;
  /** The same as an automaton, which only those need that are written. */
  readonly keys: () => Language;
  readonly node: Node;
  /** Nothing was said of them: they are allowed, and not written. */
  readonly implied: boolean;
};

export type Node =
  | { readonly kind: "any" }
  | { readonly kind: "null" }
  | { readonly kind: "boolean" }
  | { readonly kind: "literal"; readonly values: readonly unknown[] }
  | NumberNode
  | StringNode
  | ArrayNode
  | ObjectNode
  /** Values that are valid, and that are not told: none is written. */
  | { readonly kind: "untold" }
  /** None: no value. */
  | { readonly kind: "union"; readonly options: readonly Node[] }
  /** One that is being read: see `Nodes`. */
  | { readonly kind: "reference"; readonly key: string };

/** What references lead to. */
export type Nodes = ReadonlyMap<string, Node>;

export const anything: Node = { kind: "any" };
export const nothing: Node = { kind: "union", options: [] };

export function isNothing(node: Node): boolean {
  return node.kind === "union" && node.options.length === 0;
}

export function union(options: readonly Node[]): Node {
  const flat = options.flatMap((option) => (option.kind === "union" ? option.options : [option]));
  if (flat.some(({ kind }) => kind === "any")) return anything;
  const [only] = flat;
  return flat.length === 1 && only !== undefined ? only : { kind: "union", options: flat };
}

export function sameJson(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((each, at) => sameJson(each, b[at]));
  }
  if (!isObject(a) || !isObject(b)) return a === b;
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && sameJson(a[name], b[name]))
  );
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Whether a value is one of a node's.
 * @param nodes what references lead to: what is not told is taken to accept; null: it is taken not to
 */
export function accepts(node: Node, value: unknown, nodes: Nodes | null): boolean {
  switch (node.kind) {
    case "any":
      return true;
    case "null":
      return value === null;
    case "boolean":
      return typeof value === "boolean";
    case "literal":
      return node.values.some((each) => sameJson(each, value));
    case "number":
      return typeof value === "number" && acceptsNumber(node, value);
    case "string":
      return typeof value === "string" && acceptsString(node, value, nodes === null);
    case "array":
      return Array.isArray(value) && acceptsArray(node, value, nodes);
    case "object":
      return isObject(value) && acceptsObject(node, value, nodes);
    case "untold":
      return nodes !== null;
    case "union":
      return node.options.some((option) => accepts(option, value, nodes));
    case "reference": {
      if (nodes === null) return false;
      const found = nodes.get(node.key);
      return found === undefined || accepts(found, value, nodes);
    }
  }
}

function acceptsNumber({ integer, low, high, step, notSteps }: NumberNode, value: number): boolean {
  if (integer && !Number.isInteger(value)) return false;
  if (low !== null && (low.inclusive ? value < low.value : value <= low.value)) return false;
  if (high !== null && (high.inclusive ? value > high.value : value >= high.value)) return false;
  if (notSteps.some((each) => isMultiple(value, each))) return false;
  return step === null || isMultiple(value, step);
}

/** @param strictly to its formats too: more texts are of a format than its pattern tells */
function acceptsString(node: StringNode, value: string, strictly: boolean): boolean {
  const { min, max, patterns, formats, notPatterns, notValues } = node;
  const length = codePointsOf(value);
  if (length < min || (max !== null && length > max)) return false;
  const matches = (pattern: string) => new RegExp(pattern, "u").test(value);
  if (!patterns.every(matches) || notPatterns.some(matches)) return false;
  if (notValues.includes(value)) return false;
  return !strictly || formats.every((format) => matches(formatPattern(format)));
}

function acceptsArray(node: ArrayNode, value: unknown[], nodes: Nodes | null): boolean {
  const { prefix, items, min, max, contained, unique, partial } = node;
  if (value.length < min || (max !== null && value.length > max)) return false;
  if (unique && value.some((each, at) => value.slice(0, at).some((other) => sameJson(each, other))))
    return false;
  if (partial && nodes !== null) return true;
  if (contained !== null) {
    const count = value.filter((each, at) =>
      accepts(contained.prefix[at] ?? contained.items, each, nodes),
    ).length;
    if (nodes === null && (count < contained.min || count > (contained.max ?? count))) return false;
  }
  return value.every((each, at) => accepts(prefix[at] ?? items, each, nodes));
}

function acceptsObject(
  node: ObjectNode,
  value: Record<string, unknown>,
  nodes: Nodes | null,
): boolean {
  const entries = Object.entries(value);
  if (entries.length < node.min || (node.max !== null && entries.length > node.max)) return false;
  const declared = new Map(node.properties.map((property) => [property.name, property]));
  if (node.properties.some(({ name, required }) => required && !Object.hasOwn(value, name)))
    return false;
  if (node.partial && nodes !== null) return true;
  return entries.every(([name, of]) => {
    const told = declared.get(name)?.node ?? node.others.find(({ has }) => has(name))?.node;
    return told !== undefined && accepts(told, of, nodes);
  });
}

/** Whether it is certain that no value is of both. @param depth how far it is looked for, into objects and arrays */
export function areDisjoint(a: Node, b: Node, nodes: Nodes, depth = 4): boolean {
  if (depth === 0) return false;
  const [first, second] = [followed(a, nodes), followed(b, nodes)];
  if (first.kind === "union")
    return first.options.every((each) => areDisjoint(each, second, nodes, depth));
  if (second.kind === "union") return areDisjoint(second, first, nodes, depth);
  if (first.kind === "any" || second.kind === "any") return false;
  if (first.kind === "untold" || second.kind === "untold") return false;
  if (first.kind === "literal") return first.values.every((each) => !accepts(second, each, nodes));
  if (second.kind === "literal") return areDisjoint(second, first, nodes, depth);
  if (first.kind !== second.kind) return true;
  if (first.kind === "number" && second.kind === "number") {
    return isBelow(first.high, second.low) || isBelow(second.high, first.low);
  }
  if (first.kind === "string" && second.kind === "string") {
    return isShorter(first, second) || isShorter(second, first);
  }
  if (first.kind === "array" && second.kind === "array") {
    if (isShorter(first, second) || isShorter(second, first)) return true;
    if (first.partial || second.partial) return false;
    const both = Math.min(first.min, second.min);
    return Array.from({ length: both }, (_, at) => at).some((at) =>
      areDisjoint(
        first.prefix[at] ?? first.items,
        second.prefix[at] ?? second.items,
        nodes,
        depth - 1,
      ),
    );
  }
  if (first.kind !== "object" || second.kind !== "object") return false;
  return lacks(first, second, { nodes, depth }) || lacks(second, first, { nodes, depth });
}

function followed(node: Node, nodes: Nodes): Node {
  const found = node.kind === "reference" ? nodes.get(node.key) : node;
  return found ?? anything;
}

function isBelow(high: Bound | null, low: Bound | null): boolean {
  if (high === null || low === null) return false;
  return high.value < low.value || (high.value === low.value && !(high.inclusive && low.inclusive));
}

type Lengths = { readonly min: number; readonly max: number | null };

function isShorter(a: Lengths, b: Lengths): boolean {
  return a.max !== null && a.max < b.min;
}

/** Whether one object needs a key whose value cannot be the other's. */
function lacks(
  a: ObjectNode,
  b: ObjectNode,
  { nodes, depth }: { nodes: Nodes; depth: number },
): boolean {
  return a.properties.some(({ name, node, required }) => {
    if (!required || a.partial || b.partial) return false;
    const other =
      b.properties.find((each) => each.name === name) ?? b.others.find(({ has }) => has(name));
    return other === undefined || areDisjoint(node, other.node, nodes, depth - 1);
  });
}
