import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { Sampler, type LogitsRow } from "../../gpu-worker/llm/sampler.ts";
import { randomFrom } from "../../contract/random.ts";
import { rowOf } from "./made-rows.ts";

const reference = z
  .object({
    rows: z.array(z.array(z.number())),
    prompt: z.array(z.number()),
    output: z.array(z.number()),
    cases: z.array(
      z.object({
        row: z.number(),
        temperature: z.number(),
        topK: z.number(),
        topP: z.number(),
        minP: z.number(),
        repetitionPenalty: z.number(),
        logitBias: z.array(z.tuple([z.number(), z.number()])),
        probabilities: z.array(z.tuple([z.number(), z.number()])),
      }),
    ),
  })
  .parse(
    JSON.parse(readFileSync(path.join(import.meta.dirname, "made/distributions.json"), "utf8")),
  );

function countsOf(tokens: number[]) {
  const counts = new Map<number, number>();
  for (const token of tokens) counts.set(token, (counts.get(token) ?? 0) + 1);
  return counts;
}

function tokensOf(sampler: Sampler, logits: number[], rows: LogitsRow[]) {
  return rows.map((row) => {
    const sampled = sampler.sample(Float32Array.from(logits), row);
    return sampled.kind === "token" ? sampled.token : -1;
  });
}

describe("the distribution a token is drawn from", () => {
  it("is that of transformers' processors within 1e-6, for every combination", () => {
    const sampler = new Sampler(reference.rows[0]?.length ?? 0);
    let worst = 0;
    for (const { row, probabilities, logitBias, ...parameters } of reference.cases) {
      const actual = sampler.distribution(
        Float32Array.from(reference.rows[row] ?? []),
        rowOf(
          { ...parameters, logitBias: new Map(logitBias) },
          {
            promptTokens: new Set(reference.prompt),
            outputCounts: countsOf(reference.output),
          },
        ),
      );
      const expected = new Map(probabilities);
      for (const [token, probability] of actual.entries()) {
        worst = Math.max(worst, Math.abs(probability - (expected.get(token) ?? 0)));
      }
    }
    expect(reference.cases.length).toBeGreaterThan(300);
    expect(worst).toBeLessThan(1e-6);
  });

  it("presence counts once and frequency each time, over the output alone", () => {
    const actual = new Sampler(4).distribution(
      new Float32Array(4),
      rowOf(
        { presencePenalty: 0.5, frequencyPenalty: 0.25 },
        { promptTokens: new Set([0]), outputCounts: countsOf([1, 2, 2, 2]) },
      ),
    );
    const weights = [1, Math.exp(-0.75), Math.exp(-1.25), 1];
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (const [token, weight] of weights.entries()) {
      expect(actual[token]).toBeCloseTo(weight / total, 12);
    }
  });

  it("of a large vocabulary is what sorting gives", () => {
    const next = randomFrom(3);
    const logits = Float32Array.from({ length: 50_000 }, () => Math.log(next() / next()) * 2);
    const sampler = new Sampler(logits.length);
    const all = sampler.distribution(logits, rowOf({}));
    for (const topP of [0.01, 0.5, 0.95, 0.9999]) {
      const sorted = [...all].sort((a, b) => b - a);
      let mass = 0;
      let count = 0;
      while (mass < topP) mass += sorted[count++] ?? 1;
      const kept = sampler.distribution(logits, rowOf({ topP })).filter((p) => p > 0).length;
      expect(kept).toBe(count);
    }
    for (const topK of [1, 40, 49_999]) {
      const kept = sampler.distribution(logits, rowOf({ topK })).filter((p) => p > 0).length;
      expect(kept).toBe(topK);
    }
  });
});

/** Each token is in it with this chance. */
function maskOf(tokens: number, chance: number, next: () => number): Int32Array {
  const mask = new Int32Array(Math.ceil(tokens / 32));
  for (let token = 0; token < tokens; token += 1) {
    if (next() < chance) mask[token >>> 5] = (mask[token >>> 5] ?? 0) | (1 << (token & 31));
  }
  return mask;
}

const isIn = (mask: Int32Array, token: number) =>
  (((mask[token >>> 5] ?? 0) >>> (token & 31)) & 1) === 1;

describe("of the tokens that are allowed alone", () => {
  it("the distribution is that of logits which are -Infinity elsewhere, for every combination", () => {
    const next = randomFrom(11);
    let masked = 0;
    for (const { row, probabilities: _, logitBias, ...parameters } of reference.cases) {
      const logits = Float32Array.from(reference.rows[row] ?? []);
      const sampler = new Sampler(logits.length);
      const allowed = maskOf(logits.length, [0.05, 0.5, 0.95][row % 3] ?? 1, next);
      const others = logits.map((logit, token) => (isIn(allowed, token) ? logit : -Infinity));
      if (!others.some(Number.isFinite)) continue;
      const asked = rowOf(
        { ...parameters, logitBias: new Map(logitBias) },
        { promptTokens: new Set(reference.prompt), outputCounts: countsOf(reference.output) },
      );
      const actual = sampler.distribution(logits, { ...asked, allowed });
      const expected = sampler.distribution(others, asked);
      for (const [token, probability] of expected.entries()) {
        expect(Math.abs((actual[token] ?? NaN) - probability)).toBeLessThan(1e-12);
      }
      masked += 1;
    }
    expect(masked).toBeGreaterThan(300);
  });

  it.each([1e-4, 0.01, 0.5, 0.999])("so it is in a large vocabulary, %f of which is", (chance) => {
    const next = randomFrom(3);
    const logits = Float32Array.from({ length: 50_000 }, () => Math.log(next() / next()) * 2);
    const sampler = new Sampler(logits.length);
    const allowed = maskOf(logits.length, chance, next);
    // None beyond its end.
    const short = allowed.subarray(0, 1_500);
    for (const mask of [allowed, short]) {
      const others = logits.map((logit, token) => (isIn(mask, token) ? logit : -Infinity));
      for (const parameters of [
        {},
        { topP: 0.9 },
        { topK: 40 },
        { topK: 5_000, topP: 0.5 },
        { minP: 0.1 },
        { temperature: 0 },
      ]) {
        const actual = sampler.distribution(logits, rowOf(parameters, { allowed: mask }));
        const expected = sampler.distribution(others, rowOf(parameters));
        let worst = 0;
        for (const [token, probability] of expected.entries()) {
          worst = Math.max(worst, Math.abs((actual[token] ?? NaN) - probability));
        }
        expect(worst).toBeLessThan(1e-12);
      }
    }
  });

  it("the likeliest comes at temperature 0, and log probabilities stay the model's own", () => {
    const logits = Float32Array.of(5, 1, 2, 4, 2);
    const row = rowOf({ temperature: 0, topLogprobs: 1 }, { allowed: Int32Array.of(0b10110) });
    const sampled = new Sampler(5).sample(logits, row);
    const own = new Sampler(5).score(logits, 2, 1);
    expect(sampled).toEqual({ kind: "token", ...own });
    expect(own.topLogprobs[0]?.token).toBe(0);
  });

  it.each([
    [Int32Array.of(0), Float32Array.of(1, 2)],
    [Int32Array.of(2), Float32Array.of(1, -Infinity)],
  ])("there may be none that can come", (allowed, logits) => {
    for (const temperature of [0, 1]) {
      const row = rowOf({ temperature }, { allowed });
      expect(new Sampler(2).sample(logits, row)).toMatchObject({
        kind: "unusable",
        reason: "every logit of an allowed token is -Infinity",
      });
    }
  });
});

describe("draws", () => {
  it("follow the distribution: chi-square under the 0.999 quantile", () => {
    const logits = reference.rows[1]?.slice(0, 12) ?? [];
    const sampler = new Sampler(logits.length);
    const row = rowOf({ temperature: 1.3, topK: 10, seed: 42 });
    const expected = sampler.distribution(Float32Array.from(logits), row);
    const draws = 40_000;
    const counts = new Float64Array(logits.length);
    for (let position = 0; position < draws; position += 1) {
      const token = tokensOf(sampler, logits, [{ ...row, position }])[0] ?? -1;
      counts[token] = (counts[token] ?? 0) + 1;
    }
    let chiSquare = 0;
    for (const [token, probability] of expected.entries()) {
      const count = counts[token] ?? 0;
      if (probability === 0) expect(count).toBe(0);
      else chiSquare += (count - draws * probability) ** 2 / (draws * probability);
    }
    // 9 degrees of freedom.
    expect(chiSquare).toBeLessThan(27.88);
  });

  it("depend on seed, choice and position, not on the rows beside", () => {
    const logits = reference.rows[0] ?? [];
    const sampler = new Sampler(logits.length);
    const rows = Array.from({ length: 64 }, (_, index) =>
      rowOf(
        { seed: index % 4, temperature: 0.5 + (index % 3), topP: 0.9 },
        {
          position: index >> 3,
          choice: index % 2,
        },
      ),
    );
    const alone = rows.map((row) => tokensOf(sampler, logits, [row])[0]);
    expect(tokensOf(sampler, logits, rows)).toEqual(alone);
    expect(tokensOf(sampler, logits, rows.toReversed())).toEqual(alone.toReversed());
    for (const other of [{ position: 1 }, { choice: 1 }]) {
      const positions = Array.from({ length: 32 }, (_, position) => position * 2);
      const first = tokensOf(
        sampler,
        logits,
        positions.map((position) => rowOf({}, { position })),
      );
      const second = tokensOf(
        sampler,
        logits,
        positions.map((position) =>
          rowOf({}, { position: position + (other.position ?? 0), choice: other.choice ?? 0 }),
        ),
      );
      expect(second).not.toEqual(first);
    }
  });

  it("at temperature 0 are the likeliest token after bias and penalties, the first of equal ones", () => {
    const sampler = new Sampler(4);
    const greedy = { temperature: 0, topP: 0.1 };
    expect(tokensOf(sampler, [1, 3, 3, 2], [rowOf(greedy)])).toEqual([1]);
    const penalised = rowOf({ ...greedy, frequencyPenalty: 1 }, { outputCounts: countsOf([1]) });
    expect(tokensOf(sampler, [1, 3, 3, 2], [penalised])).toEqual([2]);
    const biased = rowOf({ ...greedy, logitBias: new Map([[0, 100]]) });
    expect(tokensOf(sampler, [1, 3, 3, 2], [biased])).toEqual([0]);
  });
});

describe("parameters at their ends", () => {
  const logits = reference.rows[0] ?? [];
  const sampler = new Sampler(logits.length);
  const best = logits.indexOf(Math.max(...logits));

  it.each([
    { temperature: 5e-324 },
    { temperature: 1e-5 },
    { topP: 0 },
    { topP: 5e-324 },
    { topK: 1 },
    { minP: 1 },
    { temperature: 100, topP: 1e-9, logitBias: new Map([[best, 100]]), topK: 1 },
  ])("leave the likeliest token: %j", (parameters) => {
    const rows = Array.from({ length: 20 }, (_, position) => rowOf(parameters, { position }));
    expect(new Set(tokensOf(sampler, logits, rows))).toEqual(new Set([best]));
  });

  it.each([{ topP: 1 - 2 ** -53 }, { topK: 1e9 }, { minP: 5e-324 }, { temperature: 1e300 }])(
    "leave all tokens: %j",
    (parameters) => {
      const probabilities = sampler.distribution(Float32Array.from(logits), rowOf(parameters));
      const total = probabilities.reduce((sum, probability) => sum + probability, 0);
      expect([total, probabilities.filter((p) => p > 0).length]).toEqual([
        expect.closeTo(1, 9),
        logits.length,
      ]);
    },
  );
});

describe("log probabilities", () => {
  it("are the model's own, whatever bias, penalties and temperature", () => {
    const logits = reference.rows[2] ?? [];
    const total = Math.log(logits.reduce((sum, x) => sum + Math.exp(Math.fround(x)), 0));
    const order = [...logits.keys()].sort((a, b) => (logits[b] ?? 0) - (logits[a] ?? 0));
    const parameters = { temperature: 0, logitBias: new Map([[9, 100]]), topLogprobs: 20 };
    const sampled = new Sampler(logits.length).sample(Float32Array.from(logits), rowOf(parameters));
    if (sampled.kind !== "token") throw new Error("no token");
    expect(sampled.token).toBe(9);
    expect(sampled.logprob).toBeCloseTo(Math.fround(logits[9] ?? 0) - total, 9);
    expect(sampled.topLogprobs.map(({ token }) => token)).toEqual(order.slice(0, 20));
    for (const { token, logprob } of sampled.topLogprobs) {
      expect(logprob).toBeCloseTo(Math.fround(logits[token] ?? 0) - total, 9);
    }
  });

  it("come without alternatives when none are asked for", () => {
    const sampled = new Sampler(2).sample(new Float32Array(2), rowOf({ topLogprobs: 0 }));
    expect(sampled).toMatchObject({ kind: "token", logprob: -Math.LN2, topLogprobs: [] });
  });
});

describe("a row that is no distribution", () => {
  it("is named, and others are sampled", () => {
    const rows = [
      [0, NaN, 1],
      [0, 5, -Infinity],
      [-Infinity, -Infinity, -Infinity],
      [0, Infinity, 0],
    ];
    const greedy = rowOf({ temperature: 0 });
    const sampler = new Sampler(3);
    const sampled = rows.map((row) => sampler.sample(Float32Array.from(row), greedy));
    expect(sampled).toMatchObject([
      { kind: "unusable", reason: "a logit is NaN" },
      { kind: "token", token: 1 },
      { kind: "unusable", reason: "every logit is -Infinity" },
      { kind: "unusable", reason: "a logit is +Infinity" },
    ]);
  });

  it("a number of logits that does not fit the vocabulary is refused", () => {
    expect(() => new Sampler(3).sample(new Float32Array(4), rowOf({}))).toThrow(RangeError);
  });
});
