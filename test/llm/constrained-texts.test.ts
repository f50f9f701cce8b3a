/** Texts that are held to an automaton, on the toy decoder. */
import { beforeEach, describe, expect, it, vi } from "vitest";
import { type Automaton, endToken, expectedUnder, ToyConstraint } from "./toy-constraint.ts";
import { expected, makeEngine, range, turn } from "./toy-engine.ts";
import { type WriteOptions, writeText } from "./write-text.ts";

const way = (tokens: readonly number[], to: number): [number, number][] =>
  tokens.map((token) => [token, to]);

/** 1 2 3, then one or more of 4 to 9, each with 10 11 12 behind it, or the end. */
const list: Automaton = [
  new Map(way([1], 1)),
  new Map(way([2], 2)),
  new Map(way([3], 3)),
  new Map(way([4, 5, 6, 7, 8, 9], 4)),
  new Map(way([10], 5)),
  new Map(way([11], 6)),
  new Map([...way([12, 13], 3), ...way([endToken], -1)]),
];

/** Sixteen tokens, each of six. */
const sixteen: Automaton = [
  ...Array.from({ length: 16 }, (_, at) => new Map(way([4, 5, 6, 7, 8, 9], at + 1))),
  new Map(way([endToken], -1)),
];

const endTokens = new Set([endToken]);
const until11 = (_: number, { token }: { token: number }) => token !== 11;
const prompt = range(9);

function options(automaton: Automaton, rest: WriteOptions = {}): WriteOptions {
  return { endTokens, constraint: () => new ToyConstraint({ automaton }), ...rest };
}

beforeEach(() => {
  ToyConstraint.open = 0;
});

describe("a text under a constraint", () => {
  it("is what is allowed alone, and what nothing else could be is made without a step", async () => {
    const { session, engine } = makeEngine({ stepTokensMax: 64 });
    const written = await writeText(engine, prompt, options(list, { maxTokens: 40 }));
    const own = expectedUnder({ prompt, maxTokens: 40, automaton: list });
    expect(written.scores[0]).toEqual(own);
    const sampled = own?.filter(({ forced }) => !forced).length ?? 0;
    expect(sampled).toBeLessThan((own?.length ?? 0) / 2);
    expect(session.runs).toHaveLength(sampled);
    // The prompt with 1 2 3 behind it.
    expect(session.runs[0]).toEqual({ texts: 1, tokens: prompt.length + 3 });
    expect(written.ran).toBe(prompt.length + (own?.length ?? 0));
    expect(ToyConstraint.open).toBe(0);
  });

  it("is written beside others, which get their token each step", async () => {
    const { session, engine } = makeEngine({ slots: 4 });
    const texts = [1, 2].map((from) =>
      writeText(engine, range(9, from), options(list, { maxTokens: 40 })),
    );
    const other = writeText(engine, range(9, 20), { maxTokens: 30 });
    for (const [at, text] of texts.entries()) {
      const own = expectedUnder({ prompt: range(9, at + 1), maxTokens: 40, automaton: list });
      expect((await text).scores[0]).toEqual(own);
    }
    expect((await other).tokens[0]).toEqual(expected(range(9, 20), 30));
    expect(session.runs.length).toBeLessThan(36);
  });

  it("draws from what is allowed, each choice for itself", async () => {
    const { engine } = makeEngine();
    const sampling = { temperature: 1, seed: 5 };
    const asked = options(list, { maxTokens: 60, choices: 4, sampling });
    const written = await writeText(engine, prompt, asked);
    const own = [0, 1, 2, 3].map((choice) =>
      expectedUnder({ prompt, maxTokens: 60, automaton: list }, { ...sampling, choice }),
    );
    expect(written.scores).toEqual(own);
    expect(new Set(written.tokens.map(String)).size).toBeGreaterThan(1);
  });

  it("has each token's own log probability, forced ones too, where they are wanted", async () => {
    const { engine } = makeEngine({ slots: 2 });
    const sampling = { topLogprobs: 2 };
    const asked = options(list, { maxTokens: 17, sampling, promptLogprobs: true });
    const [written] = await Promise.all([
      writeText(engine, prompt, asked),
      writeText(engine, range(5, 30), { maxTokens: 30 }),
    ]);
    expect(written.scores[0]).toEqual(
      expectedUnder({ prompt, maxTokens: 17, automaton: list }, sampling),
    );
    expect(written.prompt).toHaveLength(prompt.length);
    expect(written.scores[0]?.[1]?.logprob).toBeLessThan(0);
  });

  it("that is certain from beginning to end is made without a run, all its choices", async () => {
    const { session, engine } = makeEngine();
    const one: Automaton = [new Map([[3, 1]]), new Map([[endToken, -1]])];
    const written = await writeText(engine, prompt, options(one, { choices: 3 }));
    expect(written.tokens).toEqual(Array.from({ length: 3 }, () => [3, endToken]));
    expect([session.runs, ToyConstraint.open]).toEqual([[], 0]);
  });

  it("ends where its caller stops it, in the middle of what is certain too", async () => {
    const { engine } = makeEngine();
    const written = await writeText(
      engine,
      prompt,
      options(list, { maxTokens: 40, onToken: until11 }),
    );
    expect(written.tokens[0]?.at(-1)).toBe(11);
    expect(ToyConstraint.open).toBe(0);
  });
});

describe("a text that would not fit", () => {
  it.each([7, 8, 9, 10, 11, 12, 13, 20])(
    "is closed within %i tokens, and what came of it stands",
    async (maxTokens) => {
      const { engine } = makeEngine();
      // It never ends by itself.
      const logitBias = new Map([[endToken, -100]]);
      const asked = options(list, { maxTokens, sampling: { logitBias } });
      const written = await writeText(engine, prompt, asked);
      const own = written.scores[0] ?? [];
      expect(own).toEqual(expectedUnder({ prompt, maxTokens, automaton: list }, { logitBias }));
      expect([own.at(-1)?.token, own.at(-1)?.closing]).toEqual([endToken, true]);
      expect(own.length).toBeGreaterThan(maxTokens - 4);
    },
  );

  it("from the beginning is refused, with the number of tokens that it takes", async () => {
    const { session, engine } = makeEngine();
    const refused = writeText(engine, prompt, options(list, { maxTokens: 6, choices: 2 }));
    await expect(refused).rejects.toMatchObject({
      code: "invalid_value",
      param: "max_tokens",
      message: expect.stringMatching(/at least 7 tokens .* max_tokens is 6/),
    });
    expect([session.runs, ToyConstraint.open, engine.ready]).toEqual([[], 0, false]);
  });
});

/** Answers with its n-th delay; those not listed are none. */
function slow(delays: readonly (() => Promise<void> | null)[], automaton = list) {
  const rest = [...delays];
  const constraint = () => new ToyConstraint({ automaton, delay: () => rest.shift()?.() ?? null });
  return { endTokens, constraint, maxTokens: 40 };
}

describe("a constraint on another thread", () => {
  it("is asked while the model computes, and waited for without holding up others", async () => {
    const { engine } = makeEngine({ slots: 2, stallMsMax: 1 });
    const answer = Promise.withResolvers<void>();
    const held = writeText(engine, prompt, slow([turn, () => null, () => answer.promise]));
    const others = await writeText(engine, range(9, 20), { maxTokens: 30 });
    expect(others.tokens[0]).toEqual(expected(range(9, 20), 30));
    expect(engine.ready).toBe(false);
    answer.resolve();
    const own = expectedUnder({ prompt, maxTokens: 40, automaton: list });
    expect((await held).scores[0]).toEqual(own);
  });

  it("that is never in time is waited for in few steps, and its text is the same", async () => {
    const stallMsMax = 7;
    const { session, engine } = makeEngine({ slots: 2, stallMsMax });
    const waits = vi.spyOn(globalThis, "setTimeout");
    const answers: { run: number; answer: () => void }[] = [];
    const run = session.gate;
    session.gate = async (each) => {
      await run(each);
      while ((answers[0]?.run ?? Infinity) <= session.runs.length) answers.shift()?.answer();
    };
    // Behind the step that waits for it.
    const late = () =>
      new Promise<void>((answer) => answers.push({ run: session.runs.length + 3, answer }));
    const others = writeText(engine, range(9, 20), { maxTokens: 110 });
    const delays = Array.from({ length: 80 }, () => late);
    const held = await writeText(engine, prompt, slow(delays, sixteen));
    await others;
    const waited = waits.mock.calls.filter(([, milliseconds]) => milliseconds === stallMsMax);
    waits.mockRestore();
    const own = expectedUnder({ prompt, maxTokens: 40, automaton: sixteen });
    expect(held.scores[0]).toEqual(own);
    expect(waited.length).toBeGreaterThan(0);
    expect(waited.length).toBeLessThan(4);
  });

  it("that fails ends its own request, whenever it does", async () => {
    const reason = new Error("the grammar failed");
    for (const before of [0, 1, 2, 3]) {
      const { engine } = makeEngine({ slots: 3 });
      const delays = Array.from({ length: before }, () => () => null);
      const fails = () => Promise.reject(reason);
      const failing = writeText(engine, prompt, slow([...delays, fails]));
      const other = writeText(engine, range(9, 20));
      await expect(failing).rejects.toBe(reason);
      expect((await other).tokens[0]).toEqual(expected(range(9, 20), 16));
      expect(ToyConstraint.open).toBe(0);
    }
  });

  it("of a caller that leaves is disposed of at once, and its answer is nobody's", async () => {
    const { engine } = makeEngine();
    const [answer, controller] = [Promise.withResolvers<void>(), new AbortController()];
    const asked = { ...slow([() => answer.promise]), signal: controller.signal };
    const left = writeText(engine, prompt, asked);
    for (let turns = 0; turns < 10; turns += 1) await turn();
    controller.abort(new Error("the caller left"));
    await expect(left).rejects.toThrow("the caller left");
    expect(ToyConstraint.open).toBe(0);
    answer.resolve();
    await turn();
    expect([engine.ready, engine.decodes]).toEqual([false, false]);
  });
});

it("a constraint that cannot be made ends its request, and those made before are disposed of", async () => {
  const { engine } = makeEngine();
  const reason = new Error("no memory");
  const constraint = (choice: number) => {
    if (choice === 2) throw reason;
    return new ToyConstraint({ automaton: list });
  };
  await expect(writeText(engine, prompt, { choices: 4, constraint })).rejects.toBe(reason);
  expect([ToyConstraint.open, engine.ready]).toEqual([0, false]);
});
