/**
 * The subset of JSON Schema that OpenAI's structured outputs take with strict: each feature, and a schema at each limit
 * of size, compiled within the bounds that all are, and judged by Ajv with the formats of ajv-formats.
 * https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
 */
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { afterAll, describe, expect, it, vi } from "vitest";
import { structureLimits } from "#contract/tasks/structure.ts";
import { Grammars } from "../../gpu-worker/grammar/grammars.ts";
import { randomFrom } from "../random-from.ts";
import { schemaOf, times } from "./hostile-structures.ts";
import { madeTokenizer, wordsOf } from "./made-tokenizers.ts";
import { randomWalk } from "./random-walk.ts";

// What compiles has to be started, and gives way to all else that the machine does.
vi.setConfig({ testTimeout: 240_000 });

const grammars = new Grammars();
afterAll(() => grammars.close());
const opened = madeTokenizer("qwen2").then(wordsOf);
const asker = { signal: new AbortController().signal, tenant: "test" };
/**
 * Binary fractions make 0.07 / 0.01 more than 7: Ajv is let round. Without all errors, what it writes of 5,000
 * properties is nested too deep for itself.
 */
const ajv = new Ajv2020({ strict: false, multipleOfPrecision: 6, allErrors: true });
addFormats.default(ajv);

type Sampling = { readonly samples: number; readonly tokens: number };

/** @param tokens beyond those of the shortest text */
async function expectKept(schema: object, { samples, tokens }: Sampling): Promise<void> {
  const model = await opened;
  const asked = { structure: schemaOf(schema), param: "response_format" };
  const make = await grammars.constrain(model, asked, asker);
  const validate = ajv.compile(schema);
  for (let seed = 0; seed < samples; seed += 1) {
    using constraint = make();
    const { closing } = await constraint.next();
    const limits = { tokensMax: closing.length + tokens, random: randomFrom(seed) };
    const { text } = await randomWalk(model, constraint, limits);
    expect([text.slice(0, 2_000), validate(JSON.parse(text)), validate.errors]).toEqual([
      text.slice(0, 2_000),
      true,
      null,
    ]);
  }
}

/** An object as strict has them: every property is required, and there are no others. */
function strict(properties: Record<string, unknown>, more: object = {}) {
  const required = Object.keys(properties);
  return { type: "object", properties, required, additionalProperties: false, ...more };
}

const formats = [
  "date-time",
  "time",
  "date",
  "duration",
  "email",
  "hostname",
  "ipv4",
  "ipv6",
  "uuid",
];

const features: readonly (readonly [string, object])[] = [
  [
    "every type",
    strict({
      text: { type: "string" },
      number: { type: "number" },
      flag: { type: "boolean" },
      count: { type: "integer" },
      inner: strict({ a: { type: "null" } }),
      list: { type: "array", items: { type: ["string", "null"] } },
      colour: { type: "string", enum: ["red", "green"] },
      either: { anyOf: [{ type: "integer" }, strict({ a: { const: 1 } })] },
    }),
  ],
  [
    "formats",
    strict(Object.fromEntries(formats.map((format) => [format, { type: "string", format }]))),
  ],
  [
    "formats and patterns of limited length",
    strict({
      name: { type: "string", pattern: "^@[a-zA-Z0-9_]+$", minLength: 5, maxLength: 12 },
      any: { type: "string", pattern: "é.*z", maxLength: 200 },
      mail: { type: "string", format: "email", minLength: 12, maxLength: 30 },
    }),
  ],
  [
    "numbers with limits",
    strict({
      temperature: { type: "number", minimum: -130, maximum: 130 },
      open: { type: "number", exclusiveMinimum: -0.5, exclusiveMaximum: 17.25 },
      price: { type: "number", multipleOf: 0.01, minimum: 0 },
      half: { type: "number", multipleOf: 0.5 },
      fine: { type: "number", multipleOf: 1e-8 },
      step: { type: "number", multipleOf: 0.05, exclusiveMinimum: -3, maximum: 1_000_000 },
      dozen: { type: "integer", multipleOf: 12, exclusiveMaximum: 1e9 },
    }),
  ],
  [
    "arrays with limits",
    strict({ some: { type: "array", items: { type: "boolean" }, minItems: 2, maxItems: 5 } }),
  ],
  [
    "definitions, and a schema that refers to itself",
    strict(
      {
        steps: { type: "array", items: { $ref: "#/$defs/step" } },
        children: { type: "array", items: { $ref: "#" } },
        next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] },
      },
      {
        $defs: {
          step: strict({ explanation: { type: "string" }, output: { type: "string" } }),
          node: strict({
            value: { type: "number" },
            next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] },
          }),
        },
      },
    ),
  ],
];

const deep = times(10).reduce<object>((inner) => strict({ inner }), { type: "string" });
const wide = (count: number, characters: number) =>
  strict(
    Object.fromEntries(
      times(count).map((at) => [`p${at}`.padEnd(characters, "_"), { type: "string" }]),
    ),
  );
const sizes: readonly (readonly [string, object])[] = [
  ["10 levels", strict({ deep })],
  ["5,000 properties, whose names are 120,000 characters", wide(5_000, 24)],
  [
    "1,000 values, which are 120,000 characters",
    strict({
      word: { enum: times(1_000).map((at) => `${(at * 7_919) % 1_000}`.padEnd(120, " of")) },
    }),
  ],
];

describe("of OpenAI's strict subset", () => {
  it.each(features)("is kept to: %s", async (_, schema) => {
    await expectKept(schema, { samples: 4, tokens: 40 });
  });

  it.each(sizes)("is kept to at its limit of size: %s", async (_, schema) => {
    expect(JSON.stringify(schema).length).toBeLessThan(structureLimits.schemaCharactersMax);
    await expectKept(schema, { samples: 1, tokens: 3 });
  });
});
