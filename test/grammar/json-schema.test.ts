/**
 * What is written under a schema validates by it, as Ajv judges: every schema of the JSON Schema Test Suite that is
 * taken. What is not taken is refused, with the place in the schema.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { Grammars } from "../../gpu-worker/grammar/grammars.ts";
import { jsonText } from "../../gpu-worker/grammar/json-text.ts";
import type { DecoderModel } from "../../gpu-worker/model/decoder-model.ts";
import type { TokenConstraint } from "../../gpu-worker/model/token-constraint.ts";
import { randomFrom } from "../random-from.ts";
import { madeTokenizer, wordsOf } from "./made-tokenizers.ts";
import { isAllowed, randomWalk } from "./random-walk.ts";

type Case = { file: string; description: string; schema: unknown; tests: [unknown, boolean][] };
const suite: Case[] = JSON.parse(
  readFileSync(path.join(import.meta.dirname, "json-schema-test-suite/draft2020-12.json"), "utf8"),
);

// What compiles has to be started, and gives way to all else that the machine does.
vi.setConfig({ testTimeout: 240_000 });

const grammars = new Grammars();
afterAll(() => grammars.close());
const asker = { signal: new AbortController().signal, tenant: "test" };
let model: DecoderModel;
beforeAll(async () => {
  model = wordsOf(await madeTokenizer("qwen2"));
});

async function constrained(schema: unknown): Promise<(() => TokenConstraint) | CodedError> {
  const structure = { type: "json_schema" as const, schema: JSON.stringify(schema) };
  try {
    return await grammars.constrain(model, { structure, param: "response_format" }, asker);
  } catch (error) {
    if (error instanceof CodedError) return error;
    throw error;
  }
}

/** Whether the text of a value may be written. */
async function mayWrite(make: () => TokenConstraint, value: unknown): Promise<boolean> {
  using constraint = make();
  const [encoding] = await model.tokenizer.encode([jsonText(value)]);
  for (const token of encoding?.ids ?? []) {
    if (!isAllowed((await constraint.next()).allowed, token)) return false;
    constraint.accept([token]);
  }
  const { allowed } = await constraint.next();
  return [...model.endTokens].some((end) => isAllowed(allowed, end));
}

const options = {
  strict: false,
  validateFormats: false,
  multipleOfPrecision: 6,
  logger: false,
} as const;
const shared = new Ajv2020(options);

/** By Ajv; one of its own where it would keep the $id. Null: it cannot read it. */
function validatorOf(schema: unknown): ValidateFunction | null {
  const ajv = JSON.stringify(schema).includes("$id") ? new Ajv2020(options) : shared;
  try {
    return ajv.compile(schema as object);
  } catch {
    return null;
  }
}

/** A schema of numbers, with bounds of any size. */
function anyNumbers(random: (below: number) => number): Record<string, unknown> {
  const values = [0, 1, -0.25, 1e-7, 0.1 + 0.2, 99_999, 1e15, 123_456_789_012_345, -17.5, 6.02e11];
  const bound = () => (values[random(values.length)] ?? 0) * (1 - 2 * random(2)) + random(3);
  const schema: Record<string, unknown> = { type: ["integer", "number"][random(2)] };
  for (const keyword of ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]) {
    if (random(5) < 2) schema[keyword] = bound();
  }
  if (random(2) === 0)
    schema["multipleOf"] = [2, 7, 10, 0.5, 0.01, 0.25, 1e-8, 1.5, 0.07][random(9)];
  return schema;
}

/** In units of the twentieth digit behind the point. */
function scaled(digits: string): bigint {
  const [whole = "", fraction = ""] = digits.split(".");
  return BigInt(whole + fraction.padEnd(20, "0"));
}

/** By digits: as binary fractions, 0.07 is no multiple of 0.01. @param step of at most eight digits behind the point */
function isMultiple(text: string, step: number): boolean {
  return scaled(text) % scaled(step.toFixed(20).replace(/(\.\d{8}).*/, "$1")) === 0n;
}

describe("numbers", () => {
  it("keep to their bounds and steps", async () => {
    const ajv = new Ajv2020({ strict: false, logger: false });
    const random = randomFrom(9);
    let taken = 0;
    for (let time = 0; time < 100; time += 1) {
      const schema = anyNumbers(random);
      const made = await constrained(schema);
      if (made instanceof CodedError) continue;
      taken += 1;
      using constraint = made();
      const { text } = await randomWalk(model, constraint, { tokensMax: 40, random });
      const { multipleOf, ...others } = schema;
      const kept = ajv.validate(others, JSON.parse(text));
      const isOfStep = typeof multipleOf !== "number" || isMultiple(text, multipleOf);
      expect([schema, text, kept, isOfStep]).toEqual([schema, text, true, true]);
    }
    expect(taken).toBeGreaterThan(40);
  });
});

describe("formats of zod, each with its pattern", () => {
  it.each<[string, z.ZodType]>([
    ["date", z.iso.date()],
    ["date-time", z.iso.datetime()],
    ["date-time with an offset", z.iso.datetime({ offset: true })],
    ["duration", z.iso.duration()],
    ["email", z.email()],
    ["hostname", z.hostname()],
    ["ipv4", z.ipv4()],
    ["ipv6", z.ipv6()],
    ["uuid", z.uuid()],
    ["uuid, version 4", z.uuidv4()],
    ["guid", z.guid()],
  ])("%s", async (_, schema) => {
    const asked = z.toJSONSchema(schema);
    expect(asked).toMatchObject({ format: expect.any(String), pattern: expect.any(String) });
    const made = await constrained(asked);
    if (made instanceof CodedError) throw made;
    const random = randomFrom(5);
    for (let time = 0; time < 10; time += 1) {
      using constraint = made();
      const { text } = await randomWalk(model, constraint, { tokensMax: 60, random });
      expect([text, schema.safeParse(JSON.parse(text)).success]).toEqual([text, true]);
    }
  });
});

const tags = { type: "array", items: { enum: ["a", "b", "c"] }, uniqueItems: true };

describe("a value", () => {
  it.each<[string, unknown, readonly unknown[], readonly unknown[]]>([
    ["a length beside a pattern", { pattern: "^(?:ab)+$", maxLength: 5 }, ["abab"], ["ababab"]],
    ["several patterns", { allOf: [{ pattern: "^a" }, { pattern: "z$" }] }, ["az"], ["a", "z"]],
    ["not a pattern", { type: "string", not: { pattern: "a" } }, ["", "b"], ["ba"]],
    ["not of a list", { not: { enum: [1, "a", null] } }, [2, "b", "", 1.5], [1, "a", null]],
    ["decimal steps", { multipleOf: 0.01 }, [0.07, -19.99], [0.005]],
    [
      "if, then and else",
      {
        type: "object",
        properties: { kind: { enum: ["a", "b"] }, n: { type: "integer" } },
        required: ["kind"],
        if: { properties: { kind: { const: "a" } } },
        // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
        then: { required: ["n"] },
        else: { properties: { n: false } },
      },
      [{ kind: "a", n: 1 }, { kind: "b" }],
      [{ kind: "a" }, { kind: "b", n: 1 }],
    ],
    [
      "cases that overlap",
      { oneOf: [{ type: "integer" }, { type: "number", minimum: 2 }] },
      [1, 2.5],
      [3],
    ],
    [
      "cases of which one cannot be told whole",
      { oneOf: [{ const: { a: 1, b: 2 } }, { not: { const: { a: 1 } } }] },
      [],
      [{ a: 1, b: 2 }, { a: 1 }],
    ],
    [
      "cases of which one is a format",
      { oneOf: [{ enum: ["A@B.C", "b"] }, { type: "string", format: "email" }] },
      [],
      ["A@B.C"],
    ],
    ["values that come once", tags, [["c", "a"], []], [["a", "a"]]],
    [
      "members that are forbidden, and none else",
      { type: "object", properties: { a: false }, maxProperties: 2 },
      [{}, { b: 1 }],
      [{ a: 1 }],
    ],
    [
      "a number of members",
      {
        type: "object",
        properties: { a: { const: 1 }, b: { const: 1 }, c: { const: 1 } },
        minProperties: 2,
        additionalProperties: false,
      },
      [
        { a: 1, c: 1 },
        { a: 1, b: 1, c: 1 },
      ],
      [{}, { b: 1 }],
    ],
    [
      "strings of several kinds at one place",
      {
        anyOf: [
          { type: "string", maxLength: 2 },
          { type: "string", pattern: "^x+$" },
        ],
      },
      ["ab", "xxxx"],
      ["abc"],
    ],
  ])("is kept to: %s", async (_, schema, may, mayNot) => {
    const made = await constrained(schema);
    if (made instanceof CodedError) {
      expect([made.message, may]).toEqual([made.message, []]);
      return;
    }
    for (const value of may) expect([value, await mayWrite(made, value)]).toEqual([value, true]);
    for (const value of mayNot) {
      expect([value, await mayWrite(made, value)]).toEqual([value, false]);
    }
  });
});

describe("the JSON Schema Test Suite", () => {
  it(
    "is kept to where it is taken, and refused by place where not",
    { timeout: 600_000 },
    async () => {
      const counts = { taken: 0, refused: 0, valid: 0, written: 0, unjudged: 0 };
      const refusedFor = new Map<string, number>();
      const wrong: unknown[] = [];
      for (const { file, description, schema, tests } of suite) {
        const made = await constrained(schema);
        if (made instanceof CodedError) {
          counts.refused += 1;
          const at = /at (\S+),/.exec(made.message)?.[1]?.split("/").at(-1) ?? "no value";
          refusedFor.set(at, (refusedFor.get(at) ?? 0) + 1);
          expect([file, description, made.code]).toEqual([
            file,
            description,
            "invalid_json_schema",
          ]);
          continue;
        }
        counts.taken += 1;
        const validate = validatorOf(schema);
        const samples = validate === null ? 0 : 2;
        counts.unjudged += samples === 0 ? 1 : 0;
        const random = randomFrom(counts.taken);
        for (let time = 0; time < samples; time += 1) {
          using constraint = made();
          const { text } = await randomWalk(model, constraint, { tokensMax: 80, random });
          if (validate?.(JSON.parse(text)) !== true) wrong.push([file, description, schema, text]);
        }
        for (const [value, valid] of tests) {
          const written = await mayWrite(made, value);
          if (written && !valid) wrong.push([file, description, schema, value]);
          counts.valid += valid ? 1 : 0;
          counts.written += valid && written ? 1 : 0;
        }
      }
      const { taken, refused, valid, written } = counts;
      const keywords = [...refusedFor].toSorted((a, b) => b[1] - a[1]);
      process.stdout.write(
        `Refused at ${keywords.map(([keyword, count]) => `${keyword} ${count}`).join(", ")}; ` +
          `Ajv cannot read ${counts.unjudged}\n`,
      );
      process.stdout.write(
        `${taken} of ${taken + refused} schemas are taken; of their ${valid} valid values ${written} may be written\n`,
      );
      expect(wrong).toEqual([]);
      expect(taken).toBeGreaterThan(285);
    },
  );
});
