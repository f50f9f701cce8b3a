/** The engine on a decoder that shows every fault of its memory, through random courses. */
import { describe, expect, it } from "vitest";
import { randomFrom } from "../../gpu-worker/tensor/random.ts";
import type { EngineLimits } from "../../gpu-worker/llm/engine-limits.ts";
import { bytesPerToken, expected, makeEngine, range, turn } from "./toy-engine.ts";
import { type WriteOptions, writeText } from "./write-text.ts";

type Course = { seed: number; failures: number; limits: Partial<EngineLimits> };
type Ends = { done: number; cancelled: number; failed: number; cached: number };

/** Random requests, some of which begin the same; callers that leave; runs that fail. */
async function play({ seed, failures, limits }: Course): Promise<Ends> {
  const random = randomFrom(seed);
  const below = (bound: number) => Math.floor(random() * bound);
  const { session, engine } = makeEngine(limits, 96);
  const fault = new Error("a run failed");
  session.gate = async () => {
    for (let turns = below(3); turns > 0; turns -= 1) await turn();
    if (random() < failures) throw fault;
  };
  const ends: Ends = { done: 0, cancelled: 0, failed: 0, cached: 0 };
  const reason = new Error("the caller left");
  const one = async () => {
    const prompt = [...range(below(30), 7 * below(3)), ...range(1 + below(20), below(50))];
    const controller = new AbortController();
    const leavesAfter = random() < 0.2 ? below(12) : Infinity;
    const sampling = { temperature: below(2), seed: below(1_000), frequencyPenalty: below(2) };
    const [choices, maxTokens, stopsAfter] = [1 + below(3), 1 + below(40), 1 + below(60)];
    const counts: number[] = [];
    let settled = false;
    const options: WriteOptions = {
      choices,
      maxTokens,
      sampling,
      tenant: `tenant ${below(3)}`,
      signal: controller.signal,
      onToken: (choice) => {
        expect(settled).toBe(false);
        counts[choice] = (counts[choice] ?? 0) + 1;
        if (counts[choice] === leavesAfter) controller.abort(reason);
        return counts[choice] < stopsAfter;
      },
    };
    if (random() < 0.05) setImmediate(() => controller.abort(reason));
    try {
      const written = await writeText(engine, prompt, options);
      const length = Math.min(maxTokens, stopsAfter);
      for (let choice = 0; choice < choices; choice += 1) {
        expect(written.tokens[choice]).toEqual(expected(prompt, length, { ...sampling, choice }));
      }
      expect(written.ran).toBe(prompt.length - written.cachedTokens + choices * length);
      ends.done += 1;
      ends.cached += written.cachedTokens;
    } catch (error) {
      if (error === reason) ends.cancelled += 1;
      else if (error === fault) ends.failed += 1;
      else throw error;
    } finally {
      settled = true;
    }
  };
  const open: Promise<void>[] = [];
  for (let round = 0; round < 60; round += 1) {
    if (random() < 0.6) open.push(one());
    for (let turns = below(8); turns > 0; turns -= 1) await turn();
  }
  await Promise.all(open);
  expect([engine.ready, engine.decodes, engine.backlog()]).toEqual([false, false, new Map()]);
  await engine.release(new Error("over"));
  expect(session.values.size).toBe(0);
  return ends;
}

describe("any course of requests, callers that leave and runs that fail", () => {
  it.each([
    ["in ample memory", { slots: 6 }],
    ["in one slot", { slots: 1 }],
    ["in little memory", { slots: 5, memoryBytes: 128 * bytesPerToken }],
    ["with long pieces", { slots: 4, stepTokensMax: 64, shareTokens: 16 }],
  ] as const)("gives each text what it gets alone, %s", { timeout: 60_000 }, async (_, limits) => {
    const ends = { done: 0, cancelled: 0, failed: 0, cached: 0 };
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      const failures = seed % 2 === 0 ? 0.01 : 0;
      const course = await play({ seed, failures, limits: { stepTokensMax: 16, ...limits } });
      for (const key of ["done", "cancelled", "failed", "cached"] as const)
        ends[key] += course[key];
    }
    expect(ends.done).toBeGreaterThan(60);
    expect(Math.min(ends.cancelled, ends.failed, ends.cached)).toBeGreaterThan(5);
  });
});
