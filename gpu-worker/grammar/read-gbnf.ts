/**
 * A grammar in GBNF, as llama.cpp words it. White space ends no rule, so that what is written for XGrammar's EBNF is
 * read too.
 */
import { allCharacters, type CharacterRange, charactersOf, complement } from "./character-set.ts";
import {
  choice,
  type Expression,
  type Grammar,
  repeat,
  rule,
  sequence,
  set,
  StructureError,
  text,
} from "./expression.ts";
import { repeatMax } from "./read-regex.ts";

const nestingMax = 100;
const rootRule = "root";
const ruleStart = /([A-Za-z_][\w-]*)\s*::=/y;
const name = /[A-Za-z_][\w-]*/y;
const blank = /(?:\s|#[^\n]*)+/y;
const times = /[*+?]|\{\s*(\d+)\s*(,\s*(\d*)\s*)?\}/y;
const escapes: Readonly<Record<string, number>> = { t: 9, n: 10, r: 13 };
const hexLengths: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/** @throws StructureError that names the line */
export function readGbnf(grammar: string): Grammar {
  const rules = new GbnfReader(grammar).read();
  if (!rules.has(rootRule)) {
    throw new StructureError("the grammar has no rule root. Call the rule of the whole text so");
  }
  for (const body of rules.values()) {
    const missing = callsOf(body).find((called) => !rules.has(called));
    if (missing !== undefined) {
      throw new StructureError(`the grammar has no rule ${missing}, which another calls. Add it`);
    }
  }
  return { root: rootRule, rules };
}

class GbnfReader {
  readonly #grammar: string;
  #at = 0;
  #depth = 0;

  constructor(grammar: string) {
    this.#grammar = grammar;
  }

  read(): Map<string, Expression> {
    const rules = new Map<string, Expression>();
    this.#skip();
    while (this.#at < this.#grammar.length) {
      const found = this.#match(ruleStart);
      if (found === null) throw this.#wrong("a rule begins as name ::=");
      const [, named = ""] = found;
      if (rules.has(named)) throw this.#wrong(`there are two rules ${named}`);
      rules.set(named, this.#alternatives());
    }
    return rules;
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#grammar);
    if (found !== null) this.#at = pattern.lastIndex;
    return found;
  }

  #skip(): void {
    this.#match(blank);
  }

  #take(character: string): boolean {
    if (this.#grammar[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  #alternatives(): Expression {
    const options: Expression[] = [];
    do {
      this.#skip();
      options.push(this.#sequence());
    } while (this.#take("|"));
    return choice(...options);
  }

  #sequence(): Expression {
    const parts: Expression[] = [];
    for (;;) {
      this.#skip();
      const next = this.#grammar[this.#at];
      if (next === undefined || next === "|" || next === ")") break;
      const from = this.#at;
      if (this.#match(ruleStart) !== null) {
        this.#at = from;
        break;
      }
      parts.push(this.#repeated(this.#element()));
    }
    return sequence(...parts);
  }

  #repeated(part: Expression): Expression {
    this.#skip();
    const found = this.#match(times);
    if (found === null) return part;
    const [all, least = "", more, most] = found;
    if (all === "*") return this.#repeated(repeat(part, 0, null));
    if (all === "+") return this.#repeated(repeat(part, 1, null));
    if (all === "?") return this.#repeated(repeat(part, 0, 1));
    const min = Number(least);
    const max = more === undefined ? min : most === "" ? null : Number(most);
    if (Math.max(min, max ?? 0) > repeatMax || (max !== null && max < min)) {
      throw this.#wrong(`${all} is no number of repetitions up to ${repeatMax}`);
    }
    return this.#repeated(repeat(part, min, max));
  }

  #element(): Expression {
    if (this.#take('"')) return this.#literal();
    if (this.#take("[")) return this.#class();
    if (this.#take(".")) return set(allCharacters);
    if (this.#take("(")) {
      this.#depth += 1;
      if (this.#depth > nestingMax)
        throw this.#wrong(`groups lie in more than ${nestingMax} others`);
      const inside = this.#alternatives();
      if (!this.#take(")")) throw this.#wrong("a group has no )");
      this.#depth -= 1;
      return inside;
    }
    const called = this.#match(name)?.[0];
    if (called === undefined) {
      throw this.#wrong(`${this.#grammar.slice(this.#at, this.#at + 10)} begins no part of a rule`);
    }
    return rule(called);
  }

  #literal(): Expression {
    let value = "";
    while (!this.#take('"')) value += String.fromCodePoint(this.#character("a text"));
    return text(value);
  }

  #class(): Expression {
    const negated = this.#take("^");
    const ranges: CharacterRange[] = [];
    while (!this.#take("]")) {
      const from = this.#character("a [");
      const ranged = this.#grammar[this.#at] === "-" && this.#grammar[this.#at + 1] !== "]";
      if (ranged) this.#at += 1;
      const to = ranged ? this.#character("a [") : from;
      if (to < from) throw this.#wrong("a range of characters ends before its start");
      ranges.push([from, to]);
    }
    const all = charactersOf(ranges);
    return set(negated ? complement(all) : all);
  }

  /** @returns its code point */
  #character(where: string): number {
    const code = this.#grammar.codePointAt(this.#at);
    if (code === undefined || code === 0x0a) throw this.#wrong(`${where} is not closed`);
    this.#at += code > 0xffff ? 2 : 1;
    if (code !== 0x5c) return this.#scalar(code);
    const escape = this.#grammar[this.#at] ?? "";
    this.#at += 1;
    const control = Object.hasOwn(escapes, escape) ? escapes[escape] : undefined;
    if (control !== undefined) return control;
    const length = Object.hasOwn(hexLengths, escape) ? hexLengths[escape] : undefined;
    if (length !== undefined) return this.#hex(length);
    if (/[\w\s]|^$/.test(escape)) throw this.#wrong(`\\${escape} is no escape`);
    return this.#scalar(escape.codePointAt(0) ?? 0);
  }

  #hex(length: number): number {
    const digits = this.#grammar.slice(this.#at, this.#at + length);
    if (digits.length < length || !/^[0-9A-Fa-f]+$/.test(digits)) {
      throw this.#wrong(`an escape lacks its ${length} hexadecimal digits`);
    }
    this.#at += length;
    return this.#scalar(Number.parseInt(digits, 16));
  }

  #scalar(code: number): number {
    if (code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff)) return code;
    throw this.#wrong("a character is none: U+0000, half of one, or beyond U+10FFFF");
  }

  #wrong(what: string): StructureError {
    const line = this.#grammar.slice(0, this.#at).split("\n").length;
    return new StructureError(`line ${line} of the grammar: ${what}`);
  }
}

function callsOf(expression: Expression): string[] {
  switch (expression.kind) {
    case "rule":
      return [expression.name];
    case "sequence":
      return expression.parts.flatMap(callsOf);
    case "choice":
      return expression.options.flatMap(callsOf);
    case "repeat":
      return callsOf(expression.part);
    default:
      return [];
  }
}
