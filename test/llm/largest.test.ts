import { describe, expect, it } from "vitest";
import { randomFrom } from "../../contract/random.ts";
import { boundOfLargest } from "../../gpu-worker/llm/largest.ts";

/** The same by sorting. */
function bySorting(values: number[], enough: number, measure: "count" | "sum") {
  let amount = 0;
  const sorted = values.toSorted((a, b) => b - a);
  for (const value of sorted) {
    amount += measure === "count" ? 1 : value;
    if (amount >= enough) return value;
  }
  return sorted.at(-1);
}

describe("the bound of the largest values", () => {
  it("is that of sorting, equal values among them: 2 000 random arrays", () => {
    const random = randomFrom(4);
    for (let round = 0; round < 2_000; round += 1) {
      const length = 1 + Math.floor(random() * 200);
      const distinct = 1 + Math.floor(random() * 300);
      // Whole numbers, whose sums are exact in any order.
      const values = Array.from({ length }, () => Math.floor(random() * distinct));
      const total = values.reduce((sum, value) => sum + value, 0);
      const measure = round % 2 === 0 ? "count" : "sum";
      const enough = Math.ceil(random() * (measure === "count" ? length : total));
      const bound = boundOfLargest(Float64Array.from(values), enough, measure);
      expect(bound).toBe(bySorting(values, enough, measure));
    }
  });
});
