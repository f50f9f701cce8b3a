/** Where texts are followed: beside the runs only what takes next to nothing there. */
import { afterAll, describe, expect, it } from "vitest";
import { ThreadConstraint } from "../../gpu-worker/grammar/constraint.ts";
import { ForcedTokens } from "../../gpu-worker/grammar/forced-tokens.ts";
import { Lanes } from "../../gpu-worker/grammar/lanes.ts";
import { ProvenGrammar } from "../../gpu-worker/grammar/proven-grammar.ts";
import { ThreadsApart } from "../../gpu-worker/grammar/threads-apart.ts";
import { readVocabulary } from "../../gpu-worker/grammar/vocabulary.ts";
import { schemaOf } from "./hostile-structures.ts";
import { madeTokenizer, wordsOf } from "./made-tokenizers.ts";
import { isAllowed } from "./random-walk.ts";

const apart = new ThreadsApart(false);
afterAll(() => apart.end());

const first = { allowed: null, forced: [], closing: [] };
const opened = madeTokenizer("smollm").then(async (tokenizer) => {
  const model = wordsOf(tokenizer);
  return { model, vocabulary: await readVocabulary(tokenizer, model.endTokens) };
});

async function grammarOf(compiledMs: number): Promise<ProvenGrammar> {
  const { vocabulary } = await opened;
  const structure = schemaOf({ type: "array", items: { type: "boolean" } });
  return new ProvenGrammar(
    { key: "booleans", structure, length: 1, vocabulary },
    first,
    compiledMs,
  );
}

describe("a grammar", () => {
  it.each([
    [12, ["quick", "quick", "quick"]],
    [40, ["new", "new", "quick"]],
    [101, ["slow", "slow", "slow"]],
  ])("that took %i ms to compile is followed as often as asked for", async (ms, paces) => {
    const grammar = await grammarOf(ms);
    expect(
      paces.map(() => {
        grammar.begins();
        return grammar.pace;
      }),
    ).toEqual(paces);
  });

  it("is slow from when on a token of it was", async () => {
    const grammar = await grammarOf(1);
    grammar.begins();
    grammar.told(24);
    expect(grammar.pace).toBe("quick");
    grammar.told(26);
    expect(grammar.pace).toBe("slow");
  });
});

describe("a text", () => {
  it("goes on apart once its grammar is slow, from where it is, and its thread stays", async () => {
    const { model, vocabulary } = await opened;
    const forced = new ForcedTokens(model.tokenizer, vocabulary);
    let started = 0;
    const lanes = new Lanes((...given) => {
      started += 1;
      return apart.start(...given);
    });
    const grammar = await grammarOf(1);
    const options = {
      lanes,
      grammar,
      forced,
      starved: () => undefined,
      refuse: (reason: string) => new Error(reason),
    };
    const [encoding] = await model.tokenizer.encode(["[true"]);
    const [bracket = -1, ...rest] = encoding?.ids ?? [];
    using constraint = new ThreadConstraint(options);
    // What comes first is known before any thread has the grammar.
    expect(constraint.next()).toBe(first);
    constraint.accept([bracket]);
    await constraint.next();
    const here = lanes.threadFor("quick");
    expect([started, here.texts]).toEqual([0, 1]);
    grammar.told(1_000);
    constraint.accept(rest);
    const { allowed } = await constraint.next();
    expect([started, here.texts, here.ended]).toEqual([1, 0, false]);
    const [closing] = await model.tokenizer.encode(["]"]);
    expect(isAllowed(allowed, closing?.ids[0] ?? -1)).toBe(true);
    expect(isAllowed(allowed, bracket)).toBe(false);
    lanes.end();
  });
});
