/** What a schema's values look like as text, node by node. */
import { choice, type Expression, isNever, never, rule, text } from "../expression.ts";
import { jsonNames, jsonText } from "../json-text.ts";
import type { Node, Nodes } from "./node.ts";
import { writeArray } from "./write-array.ts";
import { writeNumber } from "./write-number.ts";
import { writeObject } from "./write-object.ts";
import { writeString } from "./write-string.ts";
import type { Writing } from "./writing.ts";

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

  #writing(): Writing {
    const prefix = `schema ${this.#prefix}: part ${(this.#names += 1)}`;
    return {
      write: (node) => this.write(node),
      rule: (key, body) => {
        const name = `${prefix} ${key}`;
        if (!this.#rules.has(name)) {
          this.#rules.set(name, never);
          this.#rules.set(name, body());
        }
        return rule(name);
      },
    };
  }

  #body(node: Node): Expression {
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
        return writeArray(node, this.#writing());
      case "object":
        return writeObject(node, this.#writing());
      case "union":
        return choice(...node.options.map((option) => this.write(option)));
      case "untold":
        return never;
      default:
        return this.write(node);
    }
  }
}
