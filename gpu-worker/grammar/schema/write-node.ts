/** What a schema's values look like as text, node by node. */
import {
  allCharacters,
  type CharacterSet,
  characters,
  intersection,
  without,
} from "../character-set.ts";
import {
  choice,
  empty,
  type Expression,
  isNever,
  never,
  optional,
  repeat,
  rule,
  sequence,
  set,
  StructureError,
  text,
} from "../expression.ts";
import { colon, comma, inQuotes, jsonNames, jsonText, plainCharacters } from "../json-text.ts";
import { readRegex } from "../read-regex.ts";
import { formats } from "./formats.ts";
import {
  type ArrayNode,
  anything,
  type Node,
  type Nodes,
  type ObjectNode,
  type StringNode,
} from "./node.ts";
import { type AddRule, writeNumber } from "./write-number.ts";

/** Items or keys that are counted one by one. */
export const countedMax = 1_000;

export class NodeWriter {
  readonly #nodes: Nodes;
  readonly #rules: Map<string, Expression>;
  readonly #written = new Map<Node, string>();
  /** Equal bodies are one rule: XGrammar works out what tokens a rule allows once. */
  readonly #byBody = new Map<string, string>();
  readonly #called = new Set<string>();

  readonly #prefix: string;
  #names = 0;

  /** @param prefix of the names of its rules, so that several schemas have rules in one grammar */
  constructor(nodes: Nodes, rules: Map<string, Expression>, prefix: string) {
    this.#nodes = nodes;
    this.#rules = rules;
    this.#prefix = prefix;
  }

  /** @throws StructureError */
  write(node: Node): Expression {
    if (node.kind === "null") return text("null");
    if (node.kind === "any") return rule(jsonNames.value);
    const referred = node.kind === "reference" ? this.#nodes.get(node.key) : node;
    if (referred === undefined) throw new Error("a schema refers to what was not read");
    const known = this.#written.get(referred);
    if (known !== undefined) {
      this.#called.add(known);
      return rule(known);
    }
    const name = `schema ${this.#prefix}: value ${(this.#names += 1)}`;
    this.#written.set(referred, name);
    const body = this.#body(referred);
    if (isNever(body) && !this.#called.has(name)) {
      this.#written.delete(referred);
      return never;
    }
    return this.#named(referred, name, body);
  }

  #named(node: Node, name: string, body: Expression): Expression {
    const key = JSON.stringify(body);
    const same = this.#byBody.get(key);
    if (same !== undefined && !this.#called.has(name)) {
      this.#written.set(node, same);
      return rule(same);
    }
    this.#byBody.set(key, name);
    this.#rules.set(name, body);
    return rule(name);
  }

  #addRule: AddRule = (name, body) => {
    if (!this.#rules.has(name)) {
      this.#rules.set(name, empty);
      this.#rules.set(name, body());
    }
    return rule(name);
  };

  #body(node: Node): Expression {
    switch (node.kind) {
      case "boolean":
        return choice(text("true"), text("false"));
      case "literal":
        return choice(...node.values.map((value) => text(jsonText(value))));
      case "number":
        return writeNumber(node, this.#addRule);
      case "string":
        return writeString(node);
      case "array":
        return this.#array(node);
      case "object":
        return this.#object(node);
      case "union":
        return this.#union(node.options);
      default:
        return this.write(node);
    }
  }

  #union(options: readonly Node[]): Expression {
    const strings = options.filter((option) => hasString(option, this.#nodes));
    if (strings.length > 1 && strings.some(isCounted) && !strings.every(isCounted)) {
      throw new StructureError(
        "strings whose length is limited are not taken beside other strings of the same value. Drop the limit",
      );
    }
    return choice(...options.map((option) => this.write(option)));
  }

  #array({ prefix, items, min, max }: ArrayNode): Expression {
    const each = this.write(items);
    const most = isNever(each) ? Math.min(max ?? prefix.length, prefix.length) : max;
    if (min > countedMax || (most ?? 0) > countedMax) throw tooMany("items");
    if (most !== null && most < min) return never;
    const head = prefix.slice(0, most ?? prefix.length);
    const least = Math.max(0, min - head.length);
    const further = repeat(
      sequence(comma, each),
      head.length === 0 ? Math.max(0, least - 1) : least,
      most === null ? null : Math.max(0, most - Math.max(1, head.length)),
    );
    const after = most === head.length ? empty : further;
    if (head.length === 0) {
      const list = most === 0 || isNever(each) ? empty : sequence(each, after);
      return sequence(text("["), min === 0 ? optional(list) : list, text("]"));
    }
    const list = head.reduceRight<Expression>((rest, node, at) => {
      const item = sequence(at === 0 ? empty : comma, this.write(node), rest);
      return at < min ? item : choice(empty, item);
    }, after);
    return sequence(text("["), list, text("]"));
  }

  #object(node: ObjectNode): Expression {
    const members = node.properties.map(({ name, node: value, required }) => ({
      required,
      body: sequence(text(JSON.stringify(name)), colon, this.write(value)),
    }));
    const declared = members.filter(({ body, required }) => required || !isNever(body));
    if (declared.some(({ body }) => isNever(body))) return never;
    const others = this.#others(node);
    const required = declared.filter((member) => member.required).length;
    checkCounts(node, { required, declared: declared.length, others: !isNever(others) });
    const inside =
      declared.length === 0 ? this.#map(others, node) : this.#members(declared, others);
    const least =
      required === 0 && node.min > 0 ? inside : choice(inside, required === 0 ? empty : never);
    return sequence(text("{"), least, text("}"));
  }

  /** Members of which some may be left out, at least one of them. */
  #members(members: readonly Member[], others: Expression): Expression {
    const after = repeat(sequence(comma, others), 0, null);
    const name = `schema ${this.#prefix}: members ${this.#rules.size}`;
    const from = (at: number): Expression => {
      const member = members[at];
      if (member === undefined) return after;
      if (member.required) return sequence(comma, member.body, from(at + 1));
      return this.#addRule(`${name}: ${at}`, () => {
        const rest = from(at + 1);
        return choice(sequence(comma, member.body, rest), rest);
      });
    };
    const firstRequired = members.findIndex(({ required }) => required);
    const last = firstRequired === -1 ? members.length - 1 : firstRequired;
    const firsts = members.slice(0, last + 1);
    return choice(
      ...firsts.map(({ body }, at) => sequence(body, from(at + 1))),
      firstRequired === -1 ? sequence(others, after) : never,
    );
  }

  #map(others: Expression, { min, max }: ObjectNode): Expression {
    if (isNever(others) || max === 0) return min > 0 ? never : empty;
    return sequence(others, repeat(sequence(comma, others), 0, max === null ? null : max - 1));
  }

  /** A member under a key that is not declared. */
  #others({ properties, pattern, rest, restImplied, names }: ObjectNode): Expression {
    if (pattern !== null) {
      const keys = inQuotes(readRegex(pattern.keys, { anywhere: true, write: inJson }));
      return sequence(keys, colon, this.write(pattern.node));
    }
    if (restImplied && properties.length > 0) return never;
    const keys = names === null ? keysBut(properties.map(({ name }) => name)) : this.write(names);
    return sequence(keys, colon, this.write(rest));
  }
}

type Member = { readonly required: boolean; readonly body: Expression };
type Counts = { readonly required: number; readonly declared: number; readonly others: boolean };

/** Keys are counted where the count follows from which are declared; one key may come twice, which counts once. */
function checkCounts({ min, max }: ObjectNode, { required, declared, others }: Counts): void {
  if ((max ?? 0) > countedMax) throw tooMany("keys");
  const mostFits = max === null || (others ? declared === 0 : declared <= max);
  if (min > Math.max(1, required) || !mostFits) {
    throw new StructureError(
      "numbers of keys are taken where keys are free and at least one is asked for, not beside optional properties",
    );
  }
}

function tooMany(what: string): StructureError {
  return new StructureError(
    `at most ${countedMax} ${what} can be counted. Ask for fewer, or for any number`,
  );
}

function isCounted(node: Node): boolean {
  return node.kind === "string" && node.pattern === null && (node.min > 0 || node.max !== null);
}

function hasString(node: Node, nodes: Nodes): boolean {
  if (node.kind === "reference") return hasString(nodes.get(node.key) ?? anything, nodes);
  if (node.kind === "union") return node.options.some((option) => hasString(option, nodes));
  if (node.kind === "literal") return node.values.some((value) => typeof value === "string");
  return node.kind === "any" || node.kind === "string";
}

function writeString({ min, max, pattern, format }: StringNode): Expression {
  if (pattern === null && format === null) {
    if (min === 0 && max === null) return rule(jsonNames.string);
    return max !== null && max < min ? never : inQuotes({ kind: "counted", min, max });
  }
  const regex = pattern === null ? `^(?:${formats[format ?? ""] ?? ""})$` : pattern;
  const body = readRegex(regex, { anywhere: true, write: inJson });
  const { least, most } = lengthsOf(readRegex(regex, { anywhere: true }));
  if (least < min || (max !== null && most > max)) {
    throw new StructureError(
      `its length is limited beside a ${pattern === null ? "format" : "pattern"}. ` +
        "Limit the length in a pattern, as in ^.{1,5}$",
    );
  }
  return inQuotes(body);
}

/** How many characters a text of an expression has. */
function lengthsOf(expression: Expression): { least: number; most: number } {
  switch (expression.kind) {
    case "text":
      return { least: expression.text.length, most: expression.text.length };
    case "sequence":
      return expression.parts
        .map(lengthsOf)
        .reduce((sum, { least, most }) => ({ least: sum.least + least, most: sum.most + most }), {
          least: 0,
          most: 0,
        });
    case "choice": {
      const all = expression.options.map(lengthsOf);
      const leasts = all.map(({ least }) => least);
      return { least: Math.min(...leasts), most: Math.max(...all.map(({ most }) => most)) };
    }
    case "repeat": {
      const { least, most } = lengthsOf(expression.part);
      return { least: least * expression.min, most: most * (expression.max ?? Infinity) };
    }
    default:
      return { least: 1, most: 1 };
  }
}

const escapes: readonly (readonly [string, string])[] = [
  ['"', '\\"'],
  ["\\", "\\\\"],
  ["\b", "\\b"],
  ["\f", "\\f"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
];

/** A character of a set, as it is written in a string. Control characters without a short escape are not written. */
function inJson(of: CharacterSet): Expression {
  const escaped = escapes.flatMap(([character, written]) =>
    intersection(of, characters(character)).length > 0 ? [text(written)] : [],
  );
  return choice(set(intersection(of, plainCharacters)), ...escaped);
}

type Names = Map<string, Names | null>;

/** Keys, without escapes, that are none of these. */
function keysBut(names: readonly string[]): Expression {
  const root: Names = new Map();
  for (const name of names) {
    let at = root;
    for (const character of name) {
      const next = at.get(character) ?? new Map<string, Names | null>();
      at.set(character, next);
      at = next;
    }
    at.set("", null);
  }
  const plain = intersection(allCharacters, plainCharacters);
  const but = (trie: Names): Expression => {
    const children = [...trie].flatMap(([character, inside]) =>
      inside === null ? [] : [[character, inside] as const],
    );
    const other = without(plain, characters(children.map(([character]) => character).join("")));
    return choice(
      trie.has("") ? never : empty,
      sequence(set(other), repeat(set(plain), 0, null)),
      ...children.map(([character, inside]) => sequence(text(character), but(inside))),
    );
  };
  return inQuotes(but(root));
}
