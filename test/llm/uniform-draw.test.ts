import { describe, expect, it } from "vitest";
import { philox, uniformDraw } from "../../gpu-worker/llm/uniform-draw.ts";

describe("the counter-based generator", () => {
  it("gives the known answers of Random123's `kat_vectors` for philox4x32 of 10 rounds", () => {
    expect(philox([0, 0, 0, 0], [0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
    const ones = 0xffffffff;
    expect(philox([ones, ones, ones, ones], [ones, ones])).toEqual([
      0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd,
    ]);
    expect(
      philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]),
    ).toEqual([0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]);
  });

  it("tells seeds apart that differ above 32 bits or in sign", () => {
    const draws = [1, 2 ** 32 + 1, -1, 2 ** 53 - 1].map((seed) =>
      uniformDraw({ seed, choice: 0, position: 0 }),
    );
    expect(new Set(draws).size).toBe(4);
  });
});
