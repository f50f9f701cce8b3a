/**
 * JSON as models are made to write it: one line, a space after each comma and colon, as Python's `json.dumps` does. One
 * fixed form leaves most of the structure without a choice, so that no step of the model is spent on it, and no model
 * can go on writing white space for ever.
 */
import {
  allCharacters,
  characters,
  type CharacterSet,
  charactersOf,
  without,
} from "./character-set.ts";
import {
  choice,
  type Expression,
  optional,
  repeat,
  rule,
  sequence,
  set,
  text,
} from "./expression.ts";

/** Those that stand in a string as they are. */
export const plainCharacters: CharacterSet = without(
  allCharacters,
  charactersOf([
    [0, 0x1f],
    [0x22, 0x22],
    [0x5c, 0x5c],
  ]),
);

/** One character of a string, by an escape of two where it has one. Lengths count these. */
export const jsonCharacter = choice(
  set(plainCharacters),
  sequence(text("\\"), set(characters('"\\/bfnrt'))),
);

const hex = charactersOf([
  [0x30, 0x39],
  [0x41, 0x46],
  [0x61, 0x66],
]);
/** Of every character but surrogates: half a character is none. Without groups: see print-grammar.ts. */
const unicodeEscapes = [
  sequence(text("\\u"), set(without(hex, characters("dD"))), set(hex), set(hex), set(hex)),
  sequence(
    text("\\u"),
    set(characters("dD")),
    set(charactersOf([[0x30, 0x37]])),
    set(hex),
    set(hex),
  ),
];

export const digit = charactersOf([[0x30, 0x39]]);
const digitButZero = charactersOf([[0x31, 0x39]]);
/** So many digits, JavaScript's numbers hold without loss. */
export const digitsMax = 15;

const unsignedInteger = choice(
  text("0"),
  sequence(set(digitButZero), repeat(set(digit), 0, digitsMax - 1)),
);
export const integer = sequence(optional(text("-")), unsignedInteger);
/** Exponents of two digits: no number is infinite. */
const number = sequence(
  integer,
  optional(sequence(text("."), repeat(set(digit), 1, digitsMax))),
  optional(
    sequence(set(characters("eE")), optional(set(characters("+-"))), repeat(set(digit), 1, 2)),
  ),
);

const quote = text('"');
export const comma = text(", ");
export const colon = text(": ");

export function inQuotes(body: Expression): Expression {
  return sequence(quote, body, quote);
}

/** The rules that any value is made of. */
export const jsonNames = {
  value: "json value",
  object: "json object",
  array: "json array",
  string: "json string",
  characters: "json characters",
  number: "json number",
} as const;

function listed(item: Expression): Expression {
  return optional(sequence(item, repeat(sequence(comma, item), 0, null)));
}

export const jsonRules: readonly (readonly [string, Expression])[] = [
  [
    jsonNames.value,
    choice(
      rule(jsonNames.object),
      rule(jsonNames.array),
      rule(jsonNames.string),
      rule(jsonNames.number),
      text("true"),
      text("false"),
      text("null"),
    ),
  ],
  [
    jsonNames.object,
    sequence(
      text("{"),
      listed(sequence(rule(jsonNames.string), colon, rule(jsonNames.value))),
      text("}"),
    ),
  ],
  [jsonNames.array, sequence(text("["), listed(rule(jsonNames.value)), text("]"))],
  [jsonNames.characters, repeat(choice(jsonCharacter, ...unicodeEscapes), 0, null)],
  [jsonNames.string, inQuotes(rule(jsonNames.characters))],
  [jsonNames.number, number],
];

/** A value that is known, in the form that is written. */
export function jsonText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(jsonText).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(
    ([name, of]) => `${JSON.stringify(name)}: ${jsonText(of)}`,
  );
  return `{${members.join(", ")}}`;
}
