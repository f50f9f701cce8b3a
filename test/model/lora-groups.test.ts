/** Tokens in groups of few adapters each: every token once in its adapter's rows, and little computed for nothing. */
import { describe, expect, it } from "vitest";
import { groupTokens } from "../../gpu-worker/model/lora-groups.ts";

/** 0 ≤ x < 1 by a fixed sequence. */
function fixedRandom(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe("groups of tokens", () => {
  it("have each token in one row, which is its adapter's", () => {
    const random = fixedRandom();
    const upTo = (most: number) => 1 + Math.floor(random() * most);
    for (let round = 0; round < 200; round += 1) {
      const adapterCount = upTo(10);
      const batch = Array.from({ length: upTo(30) }, () => ({
        tokens: upTo(40) - 1,
        adapter: upTo(adapterCount) - 1,
      }));
      batch.push({ tokens: 1, adapter: 0 });
      const sequence = Math.max(...batch.map(({ tokens }) => tokens)) + 2;
      const groups = groupTokens(batch, sequence, random() * 80);
      const { adapters, members, length, cells, places, rows } = groups;
      expect(cells).toHaveLength((adapters.length / members) * length);
      const seen = new Set<bigint>();
      let misplaced = 0;
      for (const [index, { tokens, adapter }] of batch.entries()) {
        for (let position = 0; position < tokens; position += 1) {
          const cell = position * batch.length + index;
          const row = rows[cell] ?? -1n;
          const group = Math.floor(Number(row) / length);
          const owner = adapters[group * members + Number(places[Number(row)])];
          const isItsOwn = owner === adapter && cells[Number(row)] === BigInt(cell);
          misplaced += isItsOwn ? 0 : 1;
          seen.add(row);
        }
      }
      const total = batch.reduce((sum, { tokens }) => sum + tokens, 0);
      expect(misplaced).toBe(0);
      expect(seen.size).toBe(total);
      expect(cells.length).toBeLessThanOrEqual(3 * total);
    }
  });

  it("are one where there is one adapter, and as few as adapters where groups are dear", () => {
    const alike = Array.from({ length: 8 }, () => ({ tokens: 5, adapter: 3 }));
    expect(groupTokens(alike, 5, 4)).toMatchObject({ adapters: [3], length: 40 });
    const uneven = [
      { tokens: 90, adapter: 1 },
      { tokens: 10, adapter: 2 },
    ];
    expect(groupTokens(uneven, 90, 1_000)).toMatchObject({ adapters: [2, 1], members: 2 });
    // Where they cost nothing no row repeats a token.
    expect(groupTokens(uneven, 90, 0)).toMatchObject({ length: 10, members: 1 });
  });

  it("are filled by two adapters each, however many tokens they have", () => {
    const random = fixedRandom();
    let [rows, tokens] = [0, 0];
    for (let round = 0; round < 50; round += 1) {
      const batch = Array.from({ length: 64 }, (_, at) => ({
        tokens: 8 + Math.floor(random() * 24),
        adapter: at % 16,
      }));
      const { adapters, cells } = groupTokens(batch, 32, 2.5);
      expect(adapters.length).toBeLessThanOrEqual(2 * 16);
      rows += cells.length;
      tokens += batch.reduce((sum, text) => sum + text.tokens, 0);
    }
    // Groups of one adapter each have a fifth more.
    expect(rows / tokens).toBeLessThan(1.04);
  });
});
