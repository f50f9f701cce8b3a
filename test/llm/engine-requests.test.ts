/** What an engine is asked for at its edges: nothing, and what it can never write. */
import { describe, expect, it } from "vitest";
import type { Engine } from "../../gpu-worker/llm/engine.ts";
import type { TokenConstraint } from "../../gpu-worker/model/token-constraint.ts";
import { bytesPerToken, expected, makeEngine, range } from "./toy-engine.ts";
import { writeText } from "./write-text.ts";

describe("no token", () => {
  it("is made where none is asked for: the prompt is read once, and told of", async () => {
    const { session, engine } = makeEngine({ slots: 2 });
    const none = { maxTokens: 0, choices: 3, promptLogprobs: true };
    const one = await writeText(engine, [7], { ...none, sampling: { topLogprobs: 0 } });
    expect(one).toMatchObject({ tokens: [], ran: 1, prompt: [null] });
    const several = await writeText(engine, range(20), { ...none, sampling: { topLogprobs: 0 } });
    expect(several).toMatchObject({ tokens: [], ran: 20 });
    expect(several.prompt?.slice(1).every((each) => each?.logprob !== null)).toBe(true);
    expect(several.prompt).toHaveLength(20);
    // Nobody is left behind in a slot.
    const next = await writeText(engine, range(5), { maxTokens: 4 });
    expect(next.tokens).toEqual([expected(range(5), 4)]);
    await engine.release(new Error("over"));
    expect(session.values.size).toBe(0);
  });
});

describe("what can never be written", () => {
  const never: TokenConstraint = {
    next: () => new Promise(() => {}),
    accept: () => {},
    takeBack: () => {},
    [Symbol.dispose]: () => {},
  };
  const { engine } = makeEngine({ memoryBytes: 64 * bytesPerToken }, 1_000);
  const whole = makeEngine({}, 100).engine;
  it.each([
    [engine, range(40), { maxTokens: 25 }, "context_length_exceeded", /at most 64 .* 25 .* 65/],
    [whole, range(100), { maxTokens: 1 }, "context_length_exceeded", /toy takes at most 100 /],
    [whole, range(1), { maxTokens: Infinity }, "invalid_value", /At least one choice/],
    [whole, range(1), { maxTokens: -1 }, "invalid_value", /At least one choice/],
    [
      whole,
      range(1),
      { maxTokens: 0, constraint: () => never },
      "invalid_value",
      /max_tokens is 0, .*at least 1/,
    ],
    [whole, range(1), { choices: 0 }, "invalid_value", /At least one choice/],
    [whole, [], {}, "invalid_value", /no tokens/],
    [whole, [1, 50], {}, "invalid_value", /ids are 0 to 49/],
    [whole, [-1], {}, "invalid_value", /ids are 0 to 49/],
    [whole, [NaN], {}, "invalid_value", /ids are 0 to 49/],
    [whole, [0.5], {}, "invalid_value", /ids are 0 to 49/],
  ] as [Engine, number[], object, string, RegExp][])(
    "is refused by name, %#",
    async (...[on, prompt, options, code, message]) => {
      const refused = writeText(on, prompt, options);
      await expect(refused).rejects.toMatchObject({
        code,
        message: expect.stringMatching(message),
      });
    },
  );
});
