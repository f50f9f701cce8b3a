/** What a schema's values look like as text, node by node. */
import {
  choice,
  type Expression,
  isNever,
  never,
  rule,
  StructureError,
  text,
} from "../expression.ts";
import { jsonNames, jsonText } from "../json-text.ts";
import type { Node } from "./node.ts";
import type { ReadSchema } from "./read-schema.ts";
import { writeArray } from "./write-array.ts";
import { writeNumber } from "./write-number.ts";
import { writeObject } from "./write-object.ts";
import { writeString } from "./write-string.ts";
import type { Writing } from "./writing.ts";

/** Where rules are put, and where in a schema they come from. */
export type WrittenRules = {
  readonly rules: Map<string, Expression>;
  readonly places: Map<string, string>;
};

export class NodeWriter {
  readonly #read: Omit<ReadSchema, "node">;
  readonly #rules: Map<string, Expression>;
  readonly #places: Map<string, string>;
  readonly #written = new Map<Node, string>();
  /** Equal bodies are one rule: XGrammar works out what tokens a rule allows once. */
  readonly #byBody = new Map<string, string>();
  readonly #called = new Set<string>();

  readonly #prefix: string;
  #names = 0;

  /** @param prefix of the names of its rules, so that several schemas have rules in one grammar */
  constructor(read: Omit<ReadSchema, "node">, { rules, places }: WrittenRules, prefix: string) {
    this.#read = read;
    this.#rules = rules;
    this.#places = places;
    this.#prefix = prefix;
  }

  /** @throws StructureError */
  write(node: Node): Expression {
    if (node.kind === "null") return text("null");
    if (node.kind === "any") return rule(jsonNames.value);
    const referred = node.kind === "reference" ? this.#read.nodes.get(node.key) : node;
    if (referred === undefined) throw new Error("a schema refers to what was not read");
    const known = this.#written.get(referred);
    if (known !== undefined) {
      this.#called.add(known);
      return rule(known);
    }
    const name = `schema ${this.#prefix}: value ${(this.#names += 1)}`;
    this.#written.set(referred, name);
    const place = this.#read.places.get(referred) ?? null;
    const body = this.#placed(referred, place);
    if (place !== null) this.#places.set(name, place);
    if (isNever(body) && !this.#called.has(name)) {
      this.#written.delete(referred);
      return never;
    }
    return this.#named(referred, name, body);
  }

  /** What cannot be written is told with its place: of the innermost that cannot. */
  #placed(node: Node, place: string | null): Expression {
    try {
      return this.#body(node, place);
    } catch (error) {
      if (!(error instanceof StructureError) || error.path !== null) throw error;
      throw new StructureError(error.message, place);
    }
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

  #writing(place: string | null): Writing {
    const prefix = `schema ${this.#prefix}: part ${(this.#names += 1)}`;
    return {
      write: (node) => this.write(node),
      rule: (key, body) => {
        const name = `${prefix} ${key}`;
        if (!this.#rules.has(name)) {
          if (place !== null) this.#places.set(name, place);
          this.#rules.set(name, never);
          this.#rules.set(name, body());
        }
        return rule(name);
      },
    };
  }

  #body(node: Node, place: string | null): Expression {
    switch (node.kind) {
      case "boolean":
        return choice(text("true"), text("false"));
      case "literal":
        return choice(...node.values.map((value) => text(jsonText(value))));
      case "number":
        return writeNumber(node);
      case "string":
        return writeString(node);
      case "array":
        return writeArray(node, this.#writing(place));
      case "object":
        return writeObject(node, this.#writing(place));
      case "union":
        return choice(...node.options.map((option) => this.write(option)));
      case "untold":
        return never;
      default:
        return this.write(node);
    }
  }
}
