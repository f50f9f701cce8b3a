/** How much of a prompt is read beside texts that are written, on machines whose runs take now longer, now less. */
import { describe, expect, it } from "vitest";
import { StepCosts } from "../../gpu-worker/llm/step-costs.ts";
import { randomFrom } from "../../contract/random.ts";

type Machine = {
  /** Milliseconds of a step of tokens alone. */
  alone: number;
  /** Of a piece, however short, and of each of its tokens. */
  piece: number;
  token: number;
};

type Case = Machine & {
  texts: number;
  /**
   * Where nothing else uses the machine: the 99th percentile of the time between two tokens beside a prompt, and when
   * the prompt's first token comes, each as a multiple of its time alone.
   */
  p99: number;
  firstToken: number;
};

/** Milliseconds of a processor that runs of SmolLM2-135M in int8 take. */
const machines: Readonly<Record<string, readonly Case[]>> = {
  "one thread": [
    // Three tokens are read in any case.
    { texts: 1, alone: 12.2, piece: 0.5, token: 1.84, p99: 1.55, firstToken: 3.6 },
    { texts: 4, alone: 20.2, piece: 1.5, token: 1.74, p99: 1.5, firstToken: 4.4 },
    { texts: 8, alone: 32.5, piece: 0.6, token: 1.72, p99: 1.5, firstToken: 4 },
    { texts: 16, alone: 54.5, piece: 2.3, token: 1.75, p99: 1.5, firstToken: 4 },
  ],
  // Which wait for each other, on a machine with other work: a piece has a cost of its own.
  "two threads": [
    { texts: 4, alone: 29.6, piece: 5, token: 3.05, p99: 1.5, firstToken: 5 },
    // With five tokens of a prompt 1.45 and 4.3 times, with six 1.52 and 3.7: no number of them holds both.
    { texts: 8, alone: 45.2, piece: 5, token: 3.05, p99: 1.5, firstToken: 4.5 },
    { texts: 16, alone: 76.5, piece: 5, token: 3.05, p99: 1.5, firstToken: 4 },
  ],
};
const stepTokensMax = 256;
const promptTokens = 512;

/** Mostly near one, sometimes as if something else had the machine. */
function noise(seed: number, spread: number): () => number {
  const random = randomFrom(seed);
  const normal = () => {
    const radius = Math.sqrt(-2 * Math.log(1 - random()));
    return radius * Math.cos(2 * Math.PI * random());
  };
  return () => Math.exp(spread * normal()) * (random() < spread / 6 ? 1.5 + random() : 1);
}

/** Prompts one after the other beside texts, with some steps of tokens alone between them. */
function course(
  texts: number,
  { alone, piece, token }: Machine,
  jitter: () => number,
  costs = new StepCosts(stepTokensMax),
) {
  const step = (tokens: number) => {
    // What it would take on a machine that nothing else uses, and what it took.
    const usual = alone + (tokens > 0 ? piece + tokens * token : 0);
    costs.ran({ texts, promptTokens: tokens, seconds: (usual * jitter()) / 1_000 });
    return usual;
  };
  costs.ran({ texts: 0, promptTokens: 256, seconds: (256 * token * jitter()) / 1_000 });
  for (let at = 0; at < 50; at += 1) step(0);
  const mixed: number[] = [];
  const firstTokens: number[] = [];
  for (let prompt = 0; prompt < 40; prompt += 1) {
    let [left, took] = [promptTokens, 0];
    while (left > 0) {
      const tokens = Math.min(left, costs.tokensBeside(costs.quantumSeconds));
      const usual = step(tokens);
      if (tokens > 0) mixed.push(usual);
      took += usual;
      left -= tokens;
    }
    firstTokens.push(took / (promptTokens * token));
    for (let at = 0; at < 10; at += 1) step(0);
  }
  const p99 = mixed.toSorted((a, b) => a - b)[Math.floor(mixed.length * 0.99)] ?? NaN;
  return {
    p99: p99 / alone,
    longest: Math.max(...mixed) / alone,
    firstToken: Math.max(...firstTokens),
    usualFirstToken: firstTokens.toSorted((a, b) => a - b)[firstTokens.length / 2] ?? NaN,
  };
}

describe.each(Object.entries(machines))("what is read of prompts on %s", (_, cases) => {
  it.each(cases)(
    "has the steps of $texts texts take about half as long again",
    ({ texts, p99, firstToken, ...machine }) => {
      const still = course(texts, machine, () => 1);
      expect(still.p99).toBeLessThan(p99);
      expect(still.firstToken).toBeLessThan(firstToken);
      for (const seed of [1, 2, 3]) {
        const quiet = course(texts, machine, noise(seed, 0.03));
        expect(quiet.p99).toBeLessThan(p99 + 0.1);
        expect(quiet.longest).toBeLessThan(1.8);
        expect(quiet.usualFirstToken).toBeLessThan(firstToken + 0.1);
        expect(quiet.firstToken).toBeLessThan(firstToken + 1);
        // What others do to the machine is not made worse by much.
        const shared = course(texts, machine, noise(seed, 0.12));
        expect(shared.p99).toBeLessThan(p99 + 0.25);
        expect(shared.firstToken).toBeLessThan(7);
      }
    },
  );
});

describe("what is read of prompts beside texts", () => {
  it("comes to its end however dear it is, and is as much as a step takes where it is nearly free", () => {
    const dear = new StepCosts(stepTokensMax);
    const cheap = new StepCosts(stepTokensMax);
    for (let at = 0; at < 400; at += 1) {
      dear.ran({ texts: 1, promptTokens: at % 2, seconds: 0.01 + (at % 2) });
      cheap.ran({ texts: 64, promptTokens: at % 2 === 0 ? 0 : 200, seconds: 0.01 });
    }
    expect(dear.tokensBeside(dear.quantumSeconds)).toBeGreaterThan(0);
    expect(cheap.tokensBeside(cheap.quantumSeconds)).toBe(stepTokensMax);
  });

  it("is no more after a step that something else held up, or one that took no time", () => {
    const costs = new StepCosts(stepTokensMax);
    for (let at = 0; at < 40; at += 1)
      costs.ran({
        texts: 8,
        promptTokens: at % 2 === 0 ? 0 : 5,
        seconds: at % 2 === 0 ? 0.045 : 0.065,
      });
    const usual = costs.tokensBeside(costs.quantumSeconds);
    costs.ran({ texts: 8, promptTokens: 0, seconds: 10 });
    costs.ran({ texts: 8, promptTokens: 5, seconds: 0 });
    expect(costs.tokensBeside(costs.quantumSeconds)).toBeLessThanOrEqual(Math.ceil(usual * 1.25));
  });

  const machine = { alone: 27, piece: 2.5, token: 0.6 };

  it("is as much on a machine that becomes slower and faster all the time", () => {
    let steps = 0;
    const drift = () => Math.exp(0.4 * Math.sin((2 * Math.PI * (steps += 1)) / 120));
    const { p99, usualFirstToken } = course(16, machine, drift);
    expect(p99).toBeLessThan(1.55);
    expect(usualFirstToken).toBeLessThan(4.5);
  });

  it("is less beside fewer texts, of which a step takes less", () => {
    const costs = new StepCosts(stepTokensMax);
    course(16, machine, () => 1, costs);
    const { longest } = course(2, { ...machine, alone: 14 }, () => 1, costs);
    expect(longest).toBeLessThan(1.8);
  });

  it("is as much where runs by themselves were of the last tokens of prompts that are cached", () => {
    const costs = new StepCosts(stepTokensMax);
    costs.ran({ texts: 0, promptTokens: 256, seconds: 0.155 });
    for (let at = 0; at < 16; at += 1) costs.ran({ texts: 0, promptTokens: 2, seconds: 0.012 });
    const { p99, firstToken, usualFirstToken } = course(16, machine, () => 1, costs);
    expect(p99).toBeLessThan(1.6);
    expect(usualFirstToken).toBeLessThan(4.3);
    expect(firstToken).toBeLessThan(4.5);
  });
});
