/** What is too much is refused with its place in the schema, and the limit. */
import { afterAll, expect, it } from "vitest";
import { Grammars } from "../../gpu-worker/grammar/grammars.ts";
import { schemaOf, times } from "./hostile-structures.ts";
import { madeTokenizer, wordsOf } from "./made-tokenizers.ts";

/** Of memory, no more than the vocabulary takes and a little. */
const grammars = new Grammars({ bytesMax: 20 * 2 ** 20 });
afterAll(() => grammars.close());
const opened = madeTokenizer("smollm").then(wordsOf);

const around = (schema: unknown) => ({
  type: "object",
  properties: { small: { type: "string" }, list: { type: "array", items: schema } },
});
const cases = times(12).map((at) => ({
  anyOf: [{ minimum: at }, { maximum: at }, { const: at }],
}));

it.each<[string, unknown, RegExp]>([
  [
    "states",
    { type: "string", minLength: 90_000 },
    /at #\/properties\/list\/items, .* more than 250000 states/,
  ],
  [
    "parts",
    { allOf: cases },
    /at #\/properties\/list\/items\/allOf\/\d+\/anyOf\/\d, a schema has more than 10000 parts/,
  ],
  [
    "states of a text",
    { type: "string", maxLength: 30_000, pattern: "^(?:a|b)*$" },
    /at #\/properties\/list\/items, what is asked of one text comes to more than 20000 states/,
  ],
  [
    "items to be counted",
    { type: "array", maxItems: 1_001 },
    /at #\/properties\/list\/items, at most 1000 items/,
  ],
  [
    "time or memory",
    {
      type: "object",
      properties: Object.fromEntries(times(2_000).map((at) => [`p${at}`, { type: "string" }])),
    },
    /at #\/properties\/list\/items, compiling it takes more than 3 s or 20 MiB/,
  ],
])("too many or too much: %s", { timeout: 600_000 }, async (_, schema, words) => {
  const asked = { structure: schemaOf(around(schema)), param: "response_format" };
  const asker = { signal: new AbortController().signal, tenant: "one" };
  const refused = grammars.constrain(await opened, asked, asker);
  await expect(refused).rejects.toThrow(words);
  await expect(refused).rejects.toMatchObject({ code: "invalid_json_schema" });
});
