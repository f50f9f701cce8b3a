import { describe, expect, it } from "vitest";
import type { Text } from "../../gpu-worker/llm/text.ts";
import { WaitingTexts } from "../../gpu-worker/llm/waiting-texts.ts";
import { greedy } from "./write-text.ts";

let made = 0;

function textOf(tenant: string, first: number, choice = 0): Text {
  made += 1;
  return {
    id: String(made),
    generation: {
      request: {
        prompt: [1],
        choices: 1,
        maxTokens: 1,
        endTokens: new Set(),
        sampling: greedy,
        promptLogprobs: false,
      },
      handlers: {
        signal: new AbortController().signal,
        onToken: () => true,
        onRun: () => undefined,
      },
      tenant,
      startTags: { first, step: 1 },
      arrival: made,
      promptTokens: new Set(),
      promptScores: null,
      cachedTokens: 0,
      texts: new Set(),
      closed: false,
      listening: { [Symbol.dispose]: () => undefined },
      resolve: () => undefined,
      reject: () => undefined,
    },
    choice,
    tokens: [1],
    counts: new Map(),
    computed: 0,
    slot: null,
    promptTold: 0,
    ended: false,
  };
}

describe("WaitingTexts", () => {
  it("are in order of start tags, then of arrival", () => {
    const waiting = new WaitingTexts(100);
    const [a, b, c] = [textOf("a", 2), textOf("b", 1), textOf("c", 1)];
    for (const text of [a, c, b]) waiting.add(text, 0);
    expect(waiting.first(9, 0).map(({ text }) => text)).toEqual([b, c, a]);
    expect(waiting.first(2, 0)).toHaveLength(2);
    waiting.delete(b);
    waiting.delete(b);
    expect([...waiting]).toEqual([c, a]);
  });

  it("puts the first of the tenant that has waited longest before all, once it is past its bound", () => {
    const waiting = new WaitingTexts(100);
    const early = textOf("early", 9);
    waiting.add(early, 0);
    const later = [textOf("late", 1), textOf("late", 2)];
    for (const text of later) waiting.add(text, 50);
    expect(waiting.first(1, 100)).toEqual([{ text: later[0], overdueSince: null }]);
    expect(waiting.first(2, 101)).toEqual([
      { text: early, overdueSince: 0 },
      { text: later[0], overdueSince: null },
    ]);
    waiting.delete(early, { now: 101 });
    expect(waiting.first(1, 151)[0]).toEqual({ text: later[0], overdueSince: 50 });
    // Something of the tenant was served: the rest has waited since then.
    if (later[0]) waiting.delete(later[0], { now: 160 });
    expect(waiting.first(1, 200)[0]?.overdueSince).toBeNull();
    expect(waiting.first(1, 261)[0]?.overdueSince).toBe(160);
  });
});
