/**
 * A thousand schemas and patterns that are out to take time or memory, or to be read wrongly. Each is refused in
 * words, or kept to; and meanwhile another tenant's text goes on.
 */
import { afterAll, expect, it } from "vitest";
import { CodedError } from "#contract/errors.ts";
import { Grammars } from "../../gpu-worker/grammar/grammars.ts";
import { randomFrom } from "../random-from.ts";
import { anySchema, largest, schemaOf, times } from "./hostile-structures.ts";
import { madeTokenizer, wordsOf } from "./made-tokenizers.ts";
import { randomWalk } from "./random-walk.ts";

const grammars = new Grammars({ milliseconds: 200 });
afterAll(() => grammars.close());
const random = randomFrom(7);
const signal = new AbortController().signal;

it(
  "are each refused in words or kept to, while another's text goes on",
  { timeout: 600_000 },
  async () => {
    const model = wordsOf(await madeTokenizer("smollm"));
    const patient = await grammars.constrain(
      model,
      { structure: schemaOf({ type: "array", items: { type: "integer" } }), param: "structure" },
      { signal, tenant: "patient" },
    );
    const hostile = [
      ...largest,
      ...times(1_000 - largest.length).map(() => schemaOf(anySchema(3))),
    ];
    const counts = { kept: 0, refused: 0 };
    const over = new AbortController();
    const others = (async () => {
      let walks = 0;
      for (; !over.signal.aborted; walks += 1) {
        using constraint = patient();
        const { text } = await randomWalk(model, constraint, {
          tokensMax: 60,
          random: randomFrom(walks),
        });
        expect(Array.isArray(JSON.parse(text))).toBe(true);
      }
      return walks;
    })();
    const unexpected: unknown[] = [];
    for (const structure of hostile) {
      try {
        const make = await grammars.constrain(
          model,
          { structure, param: "structure" },
          { signal, tenant: "hostile" },
        );
        using constraint = make();
        const { closing } = await constraint.next();
        const tokensMax = closing.length + 20;
        if (closing.length < 2_000) await randomWalk(model, constraint, { tokensMax, random });
        counts.kept += 1;
      } catch (error) {
        counts.refused += 1;
        const told =
          error instanceof CodedError && /^invalid_(json_schema|value)$/.test(error.code);
        if (!told) unexpected.push([JSON.stringify(structure).slice(0, 500), String(error)]);
      }
    }
    over.abort();
    const walks = await others;
    process.stdout.write(
      `${counts.kept} are kept to, ${counts.refused} refused; another's texts meanwhile: ${walks}\n`,
    );
    expect(unexpected).toEqual([]);
    expect(counts.kept).toBeGreaterThan(20);
    expect(walks).toBeGreaterThan(5);
  },
);
