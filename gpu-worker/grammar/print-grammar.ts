/** A grammar as XGrammar reads it: EBNF, everything but plain ASCII escaped. */
import { type CharacterRange, type CharacterSet, intersection } from "./character-set.ts";
import { type Expression, type Grammar, StructureError, type TextState } from "./expression.ts";
import { jsonCharacter } from "./json-text.ts";

export const rootName = "root";

/** @throws StructureError for a text that it cannot hold */
export function printGrammar({ root, rules }: Grammar): string {
  const names = new Map([...rules.keys()].map((name, at) => [name, `r${at}`]));
  const more: string[] = [];
  const stateRule = (states: readonly TextState[]) => {
    const [first, ...lines] = stateRules(states, `f${more.length}`);
    more.push(...(first === undefined ? [] : [first.line]), ...lines.map(({ line }) => line));
    return first?.name ?? "";
  };
  const print = printer((name) => names.get(name) ?? "", stateRule);
  const lines = [...rules].map(([name, body]) => `${names.get(name)} ::= ${print(body)}`);
  return [`${rootName} ::= ${names.get(root)}`, ...lines, ...more].join("\n");
}

/** A rule for each state, which reads a character and goes on with the next one's. */
function stateRules(states: readonly TextState[], prefix: string) {
  return states.map(({ ends, next }, at) => {
    const name = `${prefix}s${at}`;
    const options = next.map(({ set, to }) => `${printSet(set)} ${prefix}s${to}`);
    return { name, line: `${name} ::= ${[...options, ...(ends ? ['""'] : [])].join(" | ")}` };
  });
}

function printer(
  nameOf: (rule: string) => string,
  stateRule: (states: readonly TextState[]) => string,
): (expression: Expression) => string {
  /** The options of a choice. */
  const print = (expression: Expression): string => {
    if (expression.kind === "choice") return expression.options.map(print).join(" | ");
    if (expression.kind === "set") return setOptions(expression.set).join(" | ");
    return printSequence(expression);
  };
  /** XGrammar makes a rule of each group: there are no more than it takes. */
  const printSequence = (expression: Expression): string => {
    if (expression.kind !== "sequence") return printOne(expression);
    return expression.parts.length === 0 ? '""' : expression.parts.map(printOne).join(" ");
  };
  const printOne = (expression: Expression): string => {
    switch (expression.kind) {
      case "text":
        return `"${[...expression.text].map(escaped).join("")}"`;
      case "set":
        return printSet(expression.set);
      case "rule":
        return nameOf(expression.name);
      case "states":
        return stateRule(expression.states);
      case "counted":
        return `(${print(jsonCharacter)})*`;
      case "repeat":
        if (isShort(expression))
          return Array.from({ length: expression.min }, () => printOne(expression.part)).join(" ");
        return `${printRepeated(expression.part)}${times(expression.min, expression.max)}`;
      default:
        return `(${print(expression)})`;
    }
  };
  const printRepeated = (part: Expression): string => {
    const printed = printOne(part);
    return part.kind === "repeat" || part.kind === "counted" ? `(${printed})` : printed;
  };
  return print;
}

/** A number of characters that is written out: a repetition would be a rule. */
function isShort({ part, min, max }: Extract<Expression, { kind: "repeat" }>): boolean {
  return part.kind === "set" && min === max && min <= 16;
}

function times(min: number, max: number | null): string {
  if (min === 0 && max === null) return "*";
  if (min === 1 && max === null) return "+";
  if (min === 0 && max === 1) return "?";
  return max === null ? `{${min},}` : `{${min},${max}}`;
}

function escaped(character: string): string {
  return escapedCode(character.codePointAt(0) ?? 0);
}

function escapedCode(code: number): string {
  if (code === 0 || (code >= 0xd800 && code <= 0xdfff)) {
    throw new StructureError(
      "a text in it has the character U+0000 or half of a character. Leave it out",
    );
  }
  const plain = code > 0x20 && code < 0x7f && !'"\\[]^-'.includes(String.fromCharCode(code));
  if (plain || code === 0x20) return String.fromCharCode(code);
  return code > 0xffff
    ? `\\U${code.toString(16).padStart(8, "0")}`
    : `\\u${code.toString(16).padStart(4, "0")}`;
}

/**
 * XGrammar as of 0.1.27 takes ranges beyond ASCII for ranges of bytes. So they are written as what they are in UTF-8,
 * byte by byte.
 */
function setOptions(set: CharacterSet): string[] {
  const ascii = intersection(set, [[1, 0x7f]]);
  const others = intersection(set, [[0x80, 0x10ffff]]).flatMap(([from, to]) =>
    utf8Ranges(from, to),
  );
  return [
    ...(ascii.length === 0 ? [] : [`[${ascii.map(printRange).join("")}]`]),
    ...others.map((bytes) => bytes.map(printBytes).join(" ")),
  ];
}

function printSet(set: CharacterSet): string {
  const options = setOptions(set);
  return options.length === 1 && set.every(([, to]) => to < 0x80)
    ? (options[0] ?? "")
    : `(${options.join(" | ")})`;
}

function printRange([from, to]: CharacterRange): string {
  return from === to ? escapedCode(from) : `${escapedCode(from)}-${escapedCode(to)}`;
}

/** A class of one alone would be taken for a text, and written in UTF-8 once more. */
function printBytes([from, to]: CharacterRange): string {
  const [first, last] = [from, to].map((byte) => `\\u${byte.toString(16).padStart(4, "0")}`);
  return from === to ? `[${first}${last}]` : `[${first}-${last}]`;
}

/** Sequences of ranges of bytes that are the characters from one to another, none of ASCII. */
function utf8Ranges(from: number, to: number): CharacterRange[][] {
  const lengthEnd = [0x7ff, 0xffff, 0x10ffff].find((end) => from <= end) ?? to;
  if (to > lengthEnd) return [...utf8Ranges(from, lengthEnd), ...utf8Ranges(lengthEnd + 1, to)];
  // Where the bytes after the first of two that differ do not run from their least to their most, it is cut.
  for (const bits of [6, 12, 18]) {
    const last = (1 << bits) - 1;
    if (from >> bits === to >> bits) continue;
    if ((from & last) !== 0)
      return [...utf8Ranges(from, from | last), ...utf8Ranges((from | last) + 1, to)];
    if ((to & last) !== last) {
      return [...utf8Ranges(from, (to & ~last) - 1), ...utf8Ranges(to & ~last, to)];
    }
  }
  const encoder = new TextEncoder();
  const [first, last] = [from, to].map((code) => [...encoder.encode(String.fromCodePoint(code))]);
  return [(first ?? []).map((byte, at) => [byte, last?.[at] ?? byte])];
}
