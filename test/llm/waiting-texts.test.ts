import { describe, expect, it } from "vitest";
import { newText, type Text } from "../../gpu-worker/llm/text.ts";
import { WaitingTexts } from "../../gpu-worker/llm/waiting-texts.ts";
import { greedy } from "./write-text.ts";

let made = 0;

function textOf(tenant: string): Text {
  made += 1;
  return newText(
    String(made),
    {
      request: {
        prompt: [1],
        choices: 1,
        maxTokens: 1,
        endTokens: new Set(),
        sampling: greedy,
        promptLogprobs: false,
        repeatable: true,
      },
      handlers: {
        signal: new AbortController().signal,
        onToken: () => true,
        onRun: () => undefined,
      },
      tenant,
      adapter: 0,
      arrival: made,
      promptTokens: new Set(),
      promptScores: null,
      cachedTokens: 0,
      texts: new Set(),
      spread: false,
      closed: false,
      listening: { [Symbol.dispose]: () => undefined },
      resolve: () => undefined,
      reject: () => undefined,
    },
    0,
  );
}

describe("WaitingTexts", () => {
  it("are in order of arrival, so many of each tenant", () => {
    const waiting = new WaitingTexts(100);
    const [a, b, c, d] = [textOf("a"), textOf("b"), textOf("a"), textOf("a")];
    for (const text of [d, a, c, b]) waiting.add(text, 0);
    expect([...waiting]).toEqual([a, b, c, d]);
    expect(waiting.firstOfEach(2, 0).map(({ text }) => text)).toEqual([a, b, c]);
    waiting.delete(b);
    waiting.delete(b);
    expect(waiting.firstOfEach(9, 0).map(({ text }) => text)).toEqual([a, c, d]);
  });

  it("say which tenants have waited beyond the bound", () => {
    const waiting = new WaitingTexts(100);
    const [early, late, later] = [textOf("early"), textOf("late"), textOf("late")];
    waiting.add(early, 0);
    waiting.add(late, 50);
    waiting.add(later, 90);
    const overdue = (now: number) => waiting.firstOfEach(9, now).map((each) => each.overdueSince);
    expect(overdue(100)).toEqual([null, null, null]);
    expect(overdue(101)).toEqual([0, null, null]);
    expect(overdue(151)).toEqual([0, 50, null]);
    // Something of the tenant was served: the rest has waited since then.
    waiting.delete(late, { now: 160 });
    expect(overdue(200)).toEqual([0, null]);
    expect(overdue(261)).toEqual([0, 160]);
  });
});
