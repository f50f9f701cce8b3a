/** Schemas, patterns and grammars that are out to take time or memory, or to be read wrongly. */
import type { Structure } from "#contract/tasks/structure.ts";
import { randomFrom } from "../random-from.ts";

const random = randomFrom(2026);

const strings = [
  "",
  "\0",
  "\ud800",
  "😀",
  "\u202e",
  "__proto__",
  "constructor",
  '"',
  "\\",
  "a/b~c%",
  "\n",
  "x".repeat(1_000),
];
const numbers = [0, -0, -1, 1, 0.5, 1e-320, 1e308, -1e308, 2 ** 53, 10_000, 1e6, 4_294_967_296];
const some = <T>(list: readonly T[]): T => list[random(list.length)] as T;

/** Any keyword with any value, right or wrong. */
export function anySchema(depth: number): unknown {
  if (depth === 0 || random(12) === 0)
    return some<unknown>([true, false, {}, [], "a", null, 5, { type: "string" }]);
  const inner = () => anySchema(depth - 1);
  const makers: readonly (readonly [string, () => unknown])[] = [
    [
      "type",
      () =>
        some<unknown>([
          "object",
          "array",
          "string",
          "number",
          "integer",
          ["null", "string"],
          [],
          "any",
          7,
        ]),
    ],
    [
      "properties",
      () => Object.fromEntries(Array.from({ length: random(4) }, () => [some(strings), inner()])),
    ],
    ["required", () => Array.from({ length: random(3) }, () => some(strings))],
    ["additionalProperties", inner],
    [
      "patternProperties",
      () => ({ [some(["^a", "(a+)+$", "[", "\\p{L}", "^\\S+(?!x)"])]: inner() }),
    ],
    ["propertyNames", inner],
    ["items", inner],
    ["prefixItems", () => Array.from({ length: random(4) }, inner)],
    ["anyOf", () => Array.from({ length: random(4) }, inner)],
    ["oneOf", () => Array.from({ length: random(4) }, inner)],
    ["allOf", () => Array.from({ length: random(4) }, inner)],
    [
      "$ref",
      () =>
        some<unknown>(["#", "#/$defs/a", "#/properties/a", "http://x/y", "#/%zz", 5, "#/allOf/0"]),
    ],
    ["$defs", () => ({ a: inner() })],
    [
      "enum",
      () =>
        Array.from({ length: random(4) }, () =>
          some<unknown>([...strings, ...numbers, null, {}, [[]]]),
        ),
    ],
    ["const", () => some<unknown>([...strings, ...numbers, null, { a: [{}] }])],
    [
      "pattern",
      () =>
        some([
          "(a|a)*$",
          "^(x{1,30}){1,30}$",
          "(",
          "[^]",
          "\\u{110000}",
          "a{,5}",
          "^$",
          ".*.*.*=.*",
        ]),
    ],
    ["minLength", () => some(numbers)],
    ["maxLength", () => some(numbers)],
    ["minItems", () => some(numbers)],
    ["maxItems", () => some(numbers)],
    ["minProperties", () => some(numbers)],
    ["maxProperties", () => some(numbers)],
    ["minimum", () => some(numbers)],
    ["exclusiveMaximum", () => some(numbers)],
    ["multipleOf", () => some([...numbers, 3, 7, 0.1])],
    ["format", () => some<unknown>(["date-time", "ipv6", "email", "constructor", 3])],
    ["not", inner],
  ];
  const count = 1 + random(4);
  return Object.fromEntries(
    Array.from({ length: count }, () => some(makers)).map(([name, make]) => [name, make()]),
  );
}

function nested(
  levels: number,
  wrap: (inner: unknown) => unknown,
  first: unknown = { type: "null" },
): unknown {
  let schema = first;
  for (let level = 0; level < levels; level += 1) schema = wrap(schema);
  return schema;
}

export const times = (count: number) => Array.from({ length: count }, (_, at) => at);
export const schemaOf = (schema: unknown): Structure => ({
  type: "json_schema",
  schema: JSON.stringify(schema),
});
const regexOf = (pattern: string): Structure => ({ type: "regex", pattern });

/** Each as large or as tangled as its kind can be within the limits of a request. */
export const largest: readonly Structure[] = [
  schemaOf(nested(2_000, (inner) => ({ items: inner }))),
  schemaOf({ allOf: times(3_000).map((at) => ({ minimum: at })) }),
  schemaOf({
    $ref: "#/$defs/d0",
    $defs: Object.fromEntries(times(2_000).map((at) => [`d${at}`, { $ref: `#/$defs/d${at + 1}` }])),
  }),
  schemaOf({ $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/b" }, b: { $ref: "#/$defs/a" } } }),
  schemaOf({
    allOf: times(12).map((at) => ({ anyOf: [{ minimum: at }, { maximum: at }, { const: at }] })),
  }),
  schemaOf({ enum: times(8_000) }),
  schemaOf({ enum: ["x".repeat(90_000)] }),
  schemaOf({
    type: "object",
    properties: Object.fromEntries(times(2_500).map((at) => [`p${at}`, { type: "string" }])),
  }),
  schemaOf({
    type: "object",
    properties: Object.fromEntries(times(500).map((at) => [`p${at}`, {}])),
    required: times(500).map((at) => `p${at}`),
  }),
  schemaOf({ type: "string", minLength: 90_000 }),
  schemaOf({ type: "string", maxLength: 10 ** 9 }),
  schemaOf({
    type: "array",
    items: { type: "array", items: { type: "array", maxItems: 1_000 }, maxItems: 1_000 },
    maxItems: 1_000,
  }),
  schemaOf({ type: "string", pattern: "^(?:[a-z]{0,500}[0-9]{0,500}){0,500}$" }),
  schemaOf({ type: "string", pattern: `^${"(a?".repeat(90)}${")".repeat(90)}$` }),
  schemaOf({
    type: "object",
    additionalProperties: { $ref: "#" },
    properties: { a: { $ref: "#" }, b: { anyOf: [{ $ref: "#" }, { $ref: "#/properties/a" }] } },
  }),
  regexOf("(a+)+(a+)+(a+)+b"),
  regexOf("(?:(?:(?:x{1,100}){1,100}){1,100}){1,100}"),
  regexOf(
    `(?:${times(3_000)
      .map((at) => `w${at}`)
      .join("|")})*`,
  ),
  regexOf("(?:.?){1000}[^]{0,1000}"),
  regexOf("(".repeat(40_000)),
  regexOf("\\u{1f600}".repeat(9_000)),
  { type: "choice", choices: times(1_000).map((at) => `${at}`.repeat(200).slice(0, 1_000)) },
  { type: "grammar", grammar: 'root ::= s\ns ::= s s s | s s | "a" | ""' },
  { type: "grammar", grammar: `root ::= ${"(".repeat(20_000)}` },
  {
    type: "grammar",
    grammar: `root ::= r0\n${times(3_000)
      .map((at) => `r${at} ::= "a" r${at + 1} | "b" r${at + 1}`)
      .join("\n")}\nr3000 ::= "c"`,
  },
  { type: "grammar", grammar: 'root ::= e\ne ::= e "+" e | e "*" e | e e | "(" e ")" | "x"' },
];
