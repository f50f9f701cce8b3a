/** Who is unloaded for whom, on plain records. */
import { describe, expect, it } from "vitest";
import { planUnloads, type Resident } from "../../gpu-worker/catalog/unload-plan.ts";

const resident = (id: string, bytes: number, usedAt: number, inUse = false): Resident => ({
  id,
  bytes,
  usedAt,
  inUse,
});

describe("planUnloads", () => {
  const three = [resident("new", 30, 9), resident("old", 30, 1), resident("middle", 30, 5)];

  it.each([
    { what: "nobody while it fits", needed: 10, budget: 100, plan: [] },
    { what: "the least recently used", needed: 11, budget: 100, plan: ["old"] },
    { what: "no more than it takes", needed: 40, budget: 100, plan: ["old"] },
    {
      what: "as many as it takes, the oldest first",
      needed: 41,
      budget: 100,
      plan: ["old", "middle"],
    },
    {
      what: "all where all are not enough",
      needed: 200,
      budget: 100,
      plan: ["old", "middle", "new"],
    },
    { what: "the oldest where the budget is passed already", needed: 0, budget: 89, plan: ["old"] },
  ])("unloads $what", ({ needed, budget, plan }) => {
    expect(planUnloads(three, needed, budget)).toEqual(plan);
  });

  it("leaves alone what is in use, however old, and counts it", () => {
    const residents = [resident("used", 60, 0, true), resident("idle", 30, 9)];
    expect(planUnloads(residents, 40, 100)).toEqual(["idle"]);
    expect(planUnloads(residents, 10, 100)).toEqual([]);
  });

  it("does not change what it is given", () => {
    const ids = three.map(({ id }) => id);
    planUnloads(three, 100, 100);
    expect(three.map(({ id }) => id)).toEqual(ids);
  });
});
