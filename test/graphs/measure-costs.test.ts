/** Costs measured of a made-up session that computes by a clock of its own. */
import { describe, expect, it } from "vitest";
import { measureCosts } from "../../gpu-worker/graphs/measure-costs.ts";
import type { Session } from "../../gpu-worker/runtime/session.ts";

const never = new AbortController().signal;

/** A session whose runs take `millisecondsOf` their tokens. */
function timedSession(millisecondsOf: (tokens: number, run: number) => number) {
  const clock = { now: 0, runs: 0 };
  const session: Session = {
    provider: "cpu",
    concurrency: 1,
    inputs: [
      { name: "input_ids", dtype: "int64", shape: ["batch", "sequence"] },
      { name: "attention_mask", dtype: "int64", shape: ["batch", "sequence"] },
      { name: "positions", dtype: "int64", shape: ["masked"] },
    ],
    outputs: [],
    async run({ attention_mask: mask, positions }) {
      if (mask?.dtype !== "int64" || positions?.shape.length !== 1) throw new Error("wrong feeds");
      clock.now += millisecondsOf(mask.data.filter((shown) => shown === 1n).length, clock.runs);
      clock.runs += 1;
      return {};
    },
    release: async () => {},
  };
  return { session, clock, options: { maxTokens: 128, now: () => clock.now, signal: never } };
}

describe("measureCosts", () => {
  it("takes the better of two runs of each size", async () => {
    const { session, clock, options } = timedSession(
      (tokens, run) => (3 + tokens / 10) * (run % 2 === 0 ? 1.5 : 1),
    );
    expect(await measureCosts(session, options)).toEqual(
      [16, 128, 384].map((tokens) => ({
        tokens,
        seconds: expect.closeTo((3 + tokens / 10) / 1_000, 9),
      })),
    );
    expect(clock.runs).toBe(6);
  });

  it("runs thousands of tokens on a GPU", async () => {
    const { session, options } = timedSession(() => 1);
    const costs = await measureCosts({ ...session, provider: "cuda" }, options);
    expect(costs.map(({ tokens }) => tokens)).toEqual([256, 2_048, 8_192]);
  });

  it("ends early where runs are slow", async () => {
    const { session, clock, options } = timedSession((tokens) => tokens);
    const costs = await measureCosts(session, options);
    expect(costs.map(({ tokens }) => tokens)).toEqual([16, 128]);
    expect(clock.runs).toBe(3);
  });

  it("makes no row longer than the model reads", async () => {
    const { session, options } = timedSession(() => 1);
    const costs = await measureCosts(session, { ...options, maxTokens: 8 });
    expect(costs.map(({ tokens }) => tokens)).toEqual([16, 128, 384]);
  });

  it("says nothing of a session that cannot run", async () => {
    const { session, options } = timedSession(() => {
      throw new Error("no");
    });
    expect(await measureCosts(session, options)).toEqual([]);
  });
});
