/** The engine on a decoder that shows every fault of its memory, through random courses. */
import { describe, expect, it } from "vitest";
import { CodedError } from "#contract/errors.ts";
import { randomFrom } from "../../contract/random.ts";
import type { EngineLimits } from "../../gpu-worker/llm/engine-limits.ts";
import { endToken, expectedUnder, randomAutomaton, ToyConstraint } from "./toy-constraint.ts";
import { bytesPerToken, countOn, expected, makeEngine, range, turn } from "./toy-engine.ts";
import { type WriteOptions, writeText } from "./write-text.ts";

type Course = { seed: number; failures: number; limits: Partial<EngineLimits> };
const endings = ["done", "cancelled", "failed", "cached", "constrained", "closed"] as const;
type Ends = Record<(typeof endings)[number], number>;

/**
 * Random requests, some of which begin the same, some of which are held to an automaton that answers as late as it
 * likes; callers that leave; runs and automata that fail.
 */
async function play({ seed, failures, limits }: Course): Promise<Ends> {
  const random = randomFrom(seed);
  const below = (bound: number) => Math.floor(random() * bound);
  const rowsMin = 1 + (seed % 2);
  const { session, engine } = makeEngine(limits, 96, { rowsMin });
  const fault = new Error("a run failed");
  const pause = async () => {
    for (let turns = below(3); turns > 0; turns -= 1) await turn();
    if (random() < failures) throw fault;
  };
  session.gate = pause;
  if (seed % 3 > 0) session.bend = countOn;
  const { bend } = session;
  const ends: Ends = { done: 0, cancelled: 0, failed: 0, cached: 0, constrained: 0, closed: 0 };
  const reason = new Error("the caller left");
  const one = async () => {
    const prompt = [...range(below(30), 7 * below(3)), ...range(1 + below(20), below(50))];
    const controller = new AbortController();
    const leavesAfter = random() < 0.2 ? below(12) : Infinity;
    const sampling = { temperature: below(2), seed: below(1_000), frequencyPenalty: below(2) };
    const [choices, maxTokens, stopsAfter] = [1 + below(3), 1 + below(40), 1 + below(60)];
    const automaton = random() < 0.4 ? randomAutomaton(random) : null;
    const scored = random() < 0.2 ? { topLogprobs: 1 } : {};
    const delay = () => (random() < 0.5 ? null : pause());
    const counts: number[] = [];
    let settled = false;
    const options: WriteOptions = {
      choices,
      maxTokens,
      sampling: { ...sampling, ...scored },
      ...(automaton !== null && {
        endTokens: new Set([endToken]),
        constraint: () => new ToyConstraint({ automaton, delay }),
      }),
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
        const own = { ...sampling, ...scored, choice };
        if (automaton === null) {
          expect(written.tokens[choice]).toEqual(expected(prompt, length, { ...own, bend }));
          continue;
        }
        const under = expectedUnder({ prompt, maxTokens, automaton, bend }, own);
        expect(written.scores[choice]).toEqual(under?.slice(0, stopsAfter));
        ends.closed += Number(under?.at(-1)?.closing ?? false);
      }
      const made = written.tokens.reduce((sum, own) => sum + own.length, 0);
      const read = prompt.length - written.cachedTokens;
      if (automaton === null || written.ran > made) expect(written.ran).toBe(read + made);
      ends[automaton === null ? "done" : "constrained"] += 1;
      ends.cached += written.cachedTokens;
    } catch (error) {
      if (error === reason) ends.cancelled += 1;
      else if (automaton !== null && error instanceof CodedError) {
        const own = { ...sampling, ...scored };
        expect(expectedUnder({ prompt, maxTokens, automaton, bend }, own)).toBeNull();
      } else if (error === fault) ends.failed += 1;
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
  expect([session.values.size, ToyConstraint.open]).toEqual([0, 0]);
  const tokens = session.runs.map((run) => run.texts * run.tokens + (run.piece ?? 0));
  expect(Math.min(...tokens)).toBeGreaterThanOrEqual(rowsMin);
  return ends;
}

/** Automata are waited for, so that a course is the same each time. */
const usual: Partial<EngineLimits> = { stepTokensMax: 16, stallMsMax: 60_000 };

describe("any course of requests, callers that leave and runs that fail", () => {
  it.each([
    ["in ample memory", { slots: 6 }],
    ["in one slot, with guesses", { slots: 1, draftTokensMax: 15 }],
    ["with long pieces", { slots: 4, stepTokensMax: 64, shareTokens: 16 }],
    [
      "in little memory, with guesses",
      { slots: 5, memoryBytes: 128 * bytesPerToken, draftTokensMax: 15, stallMsMax: 0 },
    ],
  ] as const)("gives each text what it gets alone, %s", async (_, limits) => {
    const ends: Ends = { done: 0, cancelled: 0, failed: 0, cached: 0, constrained: 0, closed: 0 };
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      const failures = seed % 2 === 0 ? 0.01 : 0;
      const course = await play({ seed, failures, limits: { ...usual, ...limits } });
      for (const key of endings) ends[key] += course[key];
    }
    expect(ends.done).toBeGreaterThan(60);
    expect(ends.constrained).toBeGreaterThan(20);
    expect(Math.min(ends.cancelled, ends.failed, ends.closed)).toBeGreaterThan(5);
    // One slot keeps one beginning, which another text may overwrite before it is asked for.
    if (limits.slots > 1) expect(ends.cached).toBeGreaterThan(5);
  });
});
