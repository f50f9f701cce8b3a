/** Budgets from made-up costs whose line is known. */
import { describe, expect, it } from "vitest";
import { deviceBounds, fitPolicy } from "../../gpu-worker/batching/fit-policy.ts";

/** Costs of runs with a fixed cost of `overhead` tokens. */
const costsOf = (overhead: number, secondsPerToken = 1e-4, sizes = [16, 128, 384]) =>
  sizes.map((tokens) => ({ tokens, seconds: (overhead + tokens) * secondsPerToken }));

describe("fitPolicy", () => {
  it("finds the fixed cost in tokens, however fast the machine is", () => {
    for (const secondsPerToken of [1e-6, 1e-4, 1e-2]) {
      expect(fitPolicy(costsOf(30, secondsPerToken))?.overheadTokens).toBe(30);
    }
  });

  it("makes a full batch so large that its fixed cost is at most a twentieth of it, and no larger", () => {
    for (const overhead of [17, 20, 30, 60, 100]) {
      const { tokensMax = NaN } = fitPolicy(costsOf(overhead)) ?? {};
      expect(overhead / (overhead + tokensMax)).toBeLessThanOrEqual(0.05);
      expect(overhead / (overhead + tokensMax - 32)).toBeGreaterThan(0.05);
    }
  });

  it("stays near the line when a single size was disturbed", () => {
    const [small, middle, large] = costsOf(32);
    if (small === undefined || middle === undefined || large === undefined) throw new Error();
    const disturbed = [small, { ...middle, seconds: middle.seconds * 1.2 }, large];
    const { overheadTokens = NaN } = fitPolicy(disturbed) ?? {};
    expect(overheadTokens).toBeGreaterThan(20);
    expect(overheadTokens).toBeLessThan(60);
  });

  it("keeps within its bounds whatever was measured", () => {
    const free = fitPolicy(costsOf(0));
    expect(free).toEqual({ overheadTokens: 16, tokensMin: 64, tokensMax: 320 });
    const dear = fitPolicy(costsOf(1e6));
    expect(dear).toEqual({ overheadTokens: 256, tokensMin: 512, tokensMax: 2_048 });
  });

  it("makes a GPU's batches of thousands of tokens, by its own costs and within a twentieth of a second", () => {
    const large = [256, 2_048, 8_192];
    // 1.5 ms to start a run, 1 µs a token.
    const fast = fitPolicy(costsOf(1_500, 1e-6, large), deviceBounds);
    expect(fast).toMatchObject({ overheadTokens: 1_500 });
    expect(fast?.tokensMax).toBeGreaterThan(20_000);
    expect(fitPolicy(costsOf(1_500, 1e-6, large))?.tokensMax).toBe(2_048);
    // A large model: 10 µs a token, so that a batch of 0.05 s has 5 000.
    expect(fitPolicy(costsOf(1_500, 1e-5, large), deviceBounds)?.tokensMax).toBe(5_000);
    expect(fitPolicy(costsOf(1e6, 1e-9, large), deviceBounds)).toEqual({
      overheadTokens: 16_384,
      tokensMin: 8_192,
      tokensMax: 65_536,
    });
  });

  it("says nothing without two sizes, or where more tokens take less time", () => {
    const [only] = costsOf(32);
    expect(fitPolicy([])).toBeNull();
    expect(fitPolicy(only === undefined ? [] : [only, only])).toBeNull();
    expect(
      fitPolicy([
        { tokens: 16, seconds: 2 },
        { tokens: 64, seconds: 1 },
      ]),
    ).toBeNull();
  });
});
