/** Texts that say again what they said: guessed tokens are computed where they are worth it, and change nothing. */
import { describe, expect, it } from "vitest";
import { defaultEngineLimits } from "../../gpu-worker/llm/engine-limits.ts";
import { draftOf, PromptLookup } from "../../gpu-worker/llm/prompt-lookup.ts";
import { type Clock, countOn, expected, makeEngine, range, turn } from "./toy-engine.ts";
import { writeText } from "./write-text.ts";

function after(tokens: number[], count = 4): number[] | null {
  const guess = new PromptLookup().guess(tokens);
  return guess === null ? null : draftOf(tokens, guess.from, count);
}

describe("a guess", () => {
  it("is what followed the last time that the end of the text occurred", () => {
    expect(after([1, 2, 3, 4, 5, 6, 9, 1, 2])).toEqual([3, 4, 5, 6]);
    // The longer match, and of equal ones the nearer.
    expect(after([7, 1, 2, 3, 8, 1, 2, 4, 7, 1, 2])).toEqual([3, 8, 1, 2]);
    expect(after([1, 2, 3, 9, 1, 2, 4, 9, 9, 1, 2])).toEqual([4, 9, 9, 1]);
  });

  it("goes on with itself where the text repeats what it ends with", () => {
    expect(after([5, 1, 2, 1, 2, 1, 2], 6)).toEqual([1, 2, 1, 2, 1, 2]);
    expect(after([3, 3, 3], 4)).toEqual([3, 3, 3, 3]);
  });

  it.each([[[]], [[1]], [[1, 1]], [[1, 2, 3]], [[4, 2, 5, 2]]])(
    "is none where the end is new: %j",
    (tokens) => {
      expect(after(tokens)).toBeNull();
    },
  );

  it("is given the chance that such ones had, by the length of what occurred", () => {
    const lookup = new PromptLookup();
    const [short, long] = [
      [1, 2, 3, 1, 2],
      [1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5],
    ];
    for (let time = 0; time < 20; time += 1) {
      lookup.guess(short);
      lookup.came(7, short);
      lookup.guess(long);
      lookup.came(6, long);
    }
    expect(lookup.guess(short)?.chance).toBeLessThan(0.1);
    expect(lookup.guess(long)?.chance).toBeGreaterThan(0.9);
  });
});

/** Milliseconds of a run: for the weights, and for each token beside those of its texts. */
function open(cost: { weights: number; text: number; more: number }, slots = 4) {
  const clock: Clock = { now: 0 };
  const { session, engine } = makeEngine({ slots, draftTokensMax: 15 }, 512, { clock });
  session.bend = countOn;
  session.gate = async ({ texts, tokens, piece = 0 }) => {
    clock.now += cost.weights + texts * cost.text + (tokens - 1 + piece) * cost.more;
    await turn();
  };
  return { session, engine, clock };
}

describe("a text that says again what it said", () => {
  const length = 200;

  it.each([
    ["the likeliest tokens", {}],
    ["drawn ones", { temperature: 1, seed: 4 }],
    ["penalised ones", { frequencyPenalty: 0.01 }],
  ])("has the same tokens in fewer steps: %s", async (_, sampling) => {
    const { session, engine } = open({ weights: 10, text: 1, more: 0.5 });
    const written = await writeText(engine, range(60), { maxTokens: length, sampling });
    expect(written.tokens[0]).toEqual(expected(range(60), length, { bend: countOn, ...sampling }));
    expect(session.runs.length).toBeLessThan(length * 0.6);
    expect(written.ran).toBe(60 + length);
  });

  it("has its turn beside others, all of which come to their end sooner", async () => {
    const { session, engine } = open({ weights: 10, text: 1, more: 0.5 });
    const texts = [0, 11, 22, 33].map(async (from) => {
      const { tokens } = await writeText(engine, range(60, from), { maxTokens: length });
      expect(tokens[0]).toEqual(expected(range(60, from), length, { bend: countOn }));
    });
    await Promise.all(texts);
    expect(session.runs.length).toBeLessThan(length * 0.8);
    expect(session.runs.some(({ texts: beside, piece = 0 }) => beside === 3 && piece > 1)).toBe(
      true,
    );
  });

  it("is guessed by default only where nobody expects it to be the same again", async () => {
    const { draftTokensMax, guessesRepeatable } = defaultEngineLimits;
    const clock: Clock = { now: 0 };
    const { session, engine } = makeEngine({ draftTokensMax, guessesRepeatable }, 512, { clock });
    session.bend = countOn;
    session.gate = async ({ tokens }) => {
      clock.now += 10 + tokens;
      await turn();
    };
    const runs: number[] = [];
    for (const repeatable of [true, false]) {
      session.runs.length = 0;
      await writeText(engine, range(60), { maxTokens: length, repeatable });
      runs.push(session.runs.length);
    }
    expect(runs[0]).toBe(length);
    expect(runs[1]).toBeLessThan(length * 0.6);
  });

  it("is written token by token where more of them take as long as more steps", async () => {
    const { session, engine } = open({ weights: 0.5, text: 10, more: 10 });
    await writeText(engine, range(60), { maxTokens: length });
    const guessed = session.runs.slice(1).reduce((sum, run) => sum + run.tokens - 1, 0);
    expect(guessed).toBeLessThan(length / 10);
  });

  it("is written token by token where what it says is always new", async () => {
    const { session, engine } = open({ weights: 10, text: 1, more: 3 });
    session.bend = (_, logits) => logits;
    // The prompt repeats itself, the answer never follows it.
    const prompt = [...range(20), ...range(20), ...range(20)];
    const { tokens } = await writeText(engine, prompt, { maxTokens: length });
    expect(tokens[0]).toEqual(expected(prompt, length));
    const guessed = session.runs.slice(1).reduce((sum, run) => sum + run.tokens - 1, 0);
    expect(guessed).toBeLessThan(length / 4);
  });
});
