/** Texts held to structures, token by token, with tokenizers of several families: what an engine is told of them. */
import { afterAll, describe, expect, it, vi } from "vitest";
import type { Structure } from "#contract/tasks/structure.ts";
import { Grammars } from "../../gpu-worker/grammar/grammars.ts";
import type { DecoderModel } from "../../gpu-worker/model/decoder-model.ts";
import { randomFrom } from "../random-from.ts";
import {
  hasRealTokenizer,
  madeNames,
  madeTokenizer,
  realTokenizer,
  wordsOf,
} from "./made-tokenizers.ts";
import { allowedTokens, bytesOf, isAllowed, randomWalk } from "./random-walk.ts";

// What compiles has to be started, and gives way to all else that the machine does.
vi.setConfig({ testTimeout: 240_000 });

const grammars = new Grammars();
afterAll(() => grammars.close());
const signal = new AbortController().signal;

function constrain(model: DecoderModel, structure: Structure, tenant = "test") {
  return grammars.constrain(model, { structure, param: "structure" }, { signal, tenant });
}

function json(schema: object): Structure {
  return { type: "json_schema", schema: JSON.stringify(schema) };
}

/** The tokens that the tokenizer makes of a text, without the space that some put before it. */
async function tokensOf(model: DecoderModel, text: string): Promise<number[]> {
  const [encoding] = await model.tokenizer.encode([`\n${text}`]);
  const ids = encoding?.ids ?? [];
  const from = ids.findIndex((_, at) => bytesOf(model, ids.slice(at)).toString() === text);
  return from === -1 ? [] : ids.slice(from);
}

const person = json({
  type: "object",
  properties: {
    name: { type: "string" },
    nicknames: { type: "array", items: { type: "string", maxLength: 12 }, maxItems: 3 },
    age: { type: "integer", minimum: 0, maximum: 130 },
    colour: { enum: ["red", "green", "blue"] },
    partner: { anyOf: [{ $ref: "#" }, { type: "null" }] },
  },
  required: ["name", "nicknames", "age", "colour", "partner"],
  additionalProperties: false,
});
const people = [
  '{"name": "Zoë \\"Z\\" Ćirić", "nicknames": ["zo", "zö"], "age": 42, "colour": "green", "partner": null}',
  [
    '{"name": "王小明 👩‍👩‍👧", "nicknames": [], "age": 7, "colour": "red", "partner": ',
    '{"name": "", "nicknames": ["x y z"], "age": 130, "colour": "blue", "partner": null}}',
  ].join(""),
];

const tokenizers = [
  ...madeNames.map((name) => [name, () => madeTokenizer(name)] as const),
  ...(hasRealTokenizer ? [["SmolLM2", realTokenizer] as const] : []),
];

describe.each(tokenizers)("with the tokenizer of %s", (name, open) => {
  it("allows a text as the tokenizer writes it, and forces only what it would write", async () => {
    const model = wordsOf(await open());
    const make = await constrain(model, person);
    const [end] = model.endTokens;
    for (const text of people) {
      using constraint = make();
      const tokens = await tokensOf(model, text);
      // A vocabulary without bytes cannot write all of it.
      if (bytesOf(model, tokens).toString() !== text) continue;
      let forcedCount = 0;
      for (const [at, token] of tokens.entries()) {
        const { allowed, forced } = await constraint.next();
        expect([at, isAllowed(allowed, token)]).toEqual([at, true]);
        expect([...tokens, end].slice(at, at + forced.length)).toEqual(forced);
        forcedCount += forced.length;
        constraint.accept([token]);
      }
      expect(forcedCount).toBeGreaterThan(5);
      const { allowed } = await constraint.next();
      const ends = allowedTokens(allowed ?? new Int32Array(), model.tokenizer.vocabularySize);
      expect(ends).toEqual([...model.endTokens]);
    }
  });

  it("comes to an end from wherever it is", async () => {
    const model = wordsOf(await open());
    const make = await constrain(model, person);
    const random = randomFrom(name.length);
    using constraint = make();
    const tokens: number[] = [];
    for (let step = 0; step < 24; step += 1) {
      const { allowed, closing } = await constraint.next();
      constraint.accept(closing);
      const text = bytesOf(model, [...tokens, ...closing]).toString();
      expect(() => JSON.parse(text), text).not.toThrow();
      expect(model.endTokens.has(closing.at(-1) ?? -1)).toBe(true);
      constraint.takeBack(closing.length);
      expect((await constraint.next()).allowed).toEqual(allowed);
      const options = allowedTokens(allowed ?? new Int32Array(), model.tokenizer.vocabularySize);
      const special = options.filter((token) => model.tokenizer.token(token)?.special);
      expect(special.filter((token) => !model.endTokens.has(token))).toEqual([]);
      const next = options[random(options.length)] ?? -1;
      if (model.endTokens.has(next)) break;
      constraint.accept([next]);
      tokens.push(next);
    }
  });
});

describe("a structure", () => {
  const opened = madeTokenizer("smollm").then(wordsOf);

  it.each<[string, Structure, RegExp]>([
    [
      "a pattern",
      { type: "regex", pattern: "(?:\\d{2,4}-)+[a-f]x*|é{3}" },
      /^(?:(?:\d{2,4}-)+[a-f]x*|é{3})$/,
    ],
    ["a class that is negated", { type: "regex", pattern: "[^a-z\\s]{1,9}z" }, /^[^a-z\s]{1,9}z$/u],
    ["parts that may be empty", { type: "regex", pattern: "(?:a?(?:b*|c)*)*d" }, /^(?:a|b|c)*d$/],
    [
      "characters beyond ASCII",
      { type: "regex", pattern: "[α-ω😀-😏]{4,6}[^\\u0000-\\u{ffff}]" },
      /^[α-ω😀-😏]{4,6}[\u{10000}-\u{10ffff}]$/u,
    ],
    [
      "a choice",
      { type: "choice", choices: ["yes", "no", "yes, but", "ni 你"] },
      /^(?:yes|no|yes, but|ni 你)$/,
    ],
    [
      "a grammar",
      {
        type: "grammar",
        grammar:
          'root ::= sum # of terms\nsum ::= sum "+" term |\n  term\nterm ::= [0-9]{1,3} | "(" sum ")"',
      },
      /^[()\d+]+$/,
    ],
    [
      "free text with tags",
      {
        type: "structural_tag",
        tag: JSON.stringify({
          type: "structural_tag",
          format: {
            type: "triggered_tags",
            triggers: ["<<f"],
            tags: [
              { begin: "<<f>>", content: { type: "regex", pattern: "[0-9]+" }, end: "<</f>>" },
            ],
            at_least_one: true,
          },
        }),
      },
      /^(?:(?!<<f)[^])*(?:<<f>>\d+<<\/f>>(?:(?!<<f)[^])*)+$/,
    ],
  ])("is kept to: %s", async (_, structure, pattern) => {
    const model = await opened;
    const make = await constrain(model, structure);
    for (let seed = 0; seed < 12; seed += 1) {
      using constraint = make();
      // Few tokens: most are cut short, some in the middle of a character.
      const limits = { tokensMax: 24 + seed * 4, random: randomFrom(seed) };
      expect((await randomWalk(model, constraint, limits)).text).toMatch(pattern);
    }
  });

  it.each<[Structure["type"], Structure, RegExp]>([
    ["regex", { type: "regex", pattern: "a(?=b)" }, /at character 2 the pattern has a look ahead/],
    ["regex", { type: "regex", pattern: "(a)\\1" }, /a reference to a group/],
    ["regex", { type: "regex", pattern: "(a" }, /a group without its \)/],
    ["grammar", { type: "grammar", grammar: 'root ::= "a"\nx ::= y' }, /no rule y/],
    [
      "grammar",
      { type: "grammar", grammar: 'root ::= "a\n' },
      /line 1 of the grammar: a text is not closed/,
    ],
    ["grammar", { type: "grammar", grammar: 'root ::= root | "a"' }, /defined as itself/],
    ["grammar", { type: "grammar", grammar: 'root ::= "a" root' }, /no text that ends/],
    ["choice", { type: "choice", choices: ["a\0"] }, /U\+0000/],
    ["json_schema", { type: "json_schema", schema: "{" }, /no JSON/],
    [
      "json_schema",
      json({ properties: { "a/b": { minLength: -1 } } }),
      /at #\/properties\/a~1b\/minLength/,
    ],
    ["json_schema", json({ $ref: "#/$defs/a" }), /at #\/\$ref, .* leads nowhere/],
    [
      "json_schema",
      json({ type: "object", properties: { a: { $ref: "#" } }, required: ["a"] }),
      /no text that ends/,
    ],
    [
      "structural_tag",
      { type: "structural_tag", tag: '{"format": {"type": "qwen"}}' },
      /cannot be read/,
    ],
  ])("is refused by what is wrong of it: %s", async (type, structure, words) => {
    const refused = constrain(await opened, structure);
    await expect(refused).rejects.toThrow(words);
    const code = type === "json_schema" ? "invalid_json_schema" : "invalid_value";
    await expect(refused).rejects.toMatchObject({ code, param: "structure" });
  });

  it("is compiled once for all who ask at the same time, and each leaves as it likes", async () => {
    const model = await opened;
    const leaving = new AbortController();
    const structure: Structure = { type: "regex", pattern: "once[a-z]{1,40}" };
    const asked = { structure, param: "structure" };
    const left = grammars.constrain(model, asked, { signal: leaving.signal, tenant: "a" });
    const stayed = grammars.constrain(model, asked, { signal, tenant: "b" });
    leaving.abort(new Error("gone"));
    await expect(left).rejects.toThrow("gone");
    using constraint = (await stayed)();
    expect(
      (await randomWalk(model, constraint, { tokensMax: 40, random: randomFrom(1) })).text,
    ).toMatch(/^once[a-z]+$/);
  });
});
