/** A structure of whatever kind as a grammar. */
import type { Structure } from "#contract/tasks/structure.ts";
import { withoutEmptyTurns } from "./empty-turns.ts";
import {
  choice,
  type Expression,
  type Grammar,
  isNever,
  never,
  rule,
  StructureError,
  text,
} from "./expression.ts";
import { jsonNames, jsonRules } from "./json-text.ts";
import { onlyProductive } from "./productive.ts";
import { readGbnf } from "./read-gbnf.ts";
import { readRegex } from "./read-regex.ts";
import { readSchema } from "./schema/read-schema.ts";
import { NodeWriter, type WrittenRules } from "./schema/write-node.ts";
import { readStructuralTag } from "./structural-tag.ts";

const root = "the text";

/** @throws StructureError */
export function readStructure(structure: Structure): Grammar {
  const rules = new Map<string, Expression>(jsonRules);
  const places = new Map<string, string>();
  const body = bodyOf(structure, { rules, places });
  rules.set(root, body);
  const grammar = onlyProductive(reachable({ root, rules }));
  if (isNever(grammar.rules.get(root) ?? never)) {
    throw new StructureError(
      "no text that ends can be so: what it asks for excludes itself, or never ends. Look for a minimum above its " +
        "maximum, what is required and may have no value, or a reference to itself without another way",
    );
  }
  return { ...withoutEmptyTurns(reachable(grammar)), places };
}

function bodyOf(structure: Structure, written: WrittenRules): Expression {
  switch (structure.type) {
    case "json_object":
      return rule(jsonNames.object);
    case "json_schema":
      return schemaBody(parsed(structure.schema, "the schema"), written);
    case "regex":
      return readRegex(structure.pattern);
    case "choice":
      if (structure.choices.some((each) => each.includes("\0") || !each.isWellFormed())) {
        throw new StructureError(
          "a choice has the character U+0000 or half of a character. Leave it out",
        );
      }
      return choice(...[...new Set(structure.choices)].map(text));
    case "grammar":
      return grammarBody(structure.grammar, written.rules);
    case "structural_tag":
      return readStructuralTag(parsed(structure.tag, "the structural tag"), {
        schema: (schema) => schemaBody(schema, written),
        regex: (pattern) => readRegex(pattern),
        grammar: (grammar) => grammarBody(grammar, written.rules),
      });
  }
}

function parsed(json: string, what: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new StructureError(
      `${what} is no JSON: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function schemaBody(schema: unknown, written: WrittenRules): Expression {
  const { node, ...read } = readSchema(schema);
  return new NodeWriter(read, written, `${written.rules.size}`).write(node);
}

/** Its rules get names of their own: several grammars may lie in one structure. */
function grammarBody(grammar: string, rules: Map<string, Expression>): Expression {
  const read = readGbnf(grammar);
  const at = rules.size;
  const own = (name: string) => `grammar ${at}: ${name}`;
  for (const [name, body] of read.rules) rules.set(own(name), renamed(body, own));
  return rule(own(read.root));
}

function renamed(expression: Expression, own: (name: string) => string): Expression {
  switch (expression.kind) {
    case "rule":
      return rule(own(expression.name));
    case "sequence":
      return { ...expression, parts: expression.parts.map((part) => renamed(part, own)) };
    case "choice":
      return { ...expression, options: expression.options.map((option) => renamed(option, own)) };
    case "repeat":
      return { ...expression, part: renamed(expression.part, own) };
    default:
      return expression;
  }
}

/** Only the rules that its root comes to. */
function reachable({ root: first, rules }: Grammar): Grammar {
  const seen = new Set([first]);
  const visit = (expression: Expression): void => {
    if (expression.kind === "rule") seen.add(expression.name);
    else if (expression.kind === "sequence") for (const part of expression.parts) visit(part);
    else if (expression.kind === "choice") for (const option of expression.options) visit(option);
    else if (expression.kind === "repeat") visit(expression.part);
  };
  for (const name of seen) {
    const body = rules.get(name);
    if (body === undefined) throw new Error(`a grammar has no rule ${name}`);
    visit(body);
  }
  return { root: first, rules: new Map([...rules].filter(([name]) => seen.has(name))) };
}
