/** Of a re-tune: when one begins, and whether what came of it is better. */
import { describe, expect, it } from "vitest";
import { isDue, judge, type Retune } from "../../../edge/learning/retune.ts";
import { reportWith } from "./report-sample.ts";

const dayMs = 86_400_000;
const dueAfter = (everyDays: number | null): Retune => ({
  settings: { minExamples: 5, everyDays } as Retune["settings"],
  state: { usedTo: 0, since: 0, run: null, events: [] },
});

describe("when one is due, and what is better", () => {
  it("is due at its threshold, or on its day where there is anything new", () => {
    expect(isDue(dueAfter(null), 4, 99 * dayMs)).toBe(false);
    expect(isDue(dueAfter(null), 5, 0)).toBe(true);
    expect(isDue(dueAfter(7), 1, 7 * dayMs - 1)).toBe(false);
    expect(isDue(dueAfter(7), 1, 7 * dayMs)).toBe(true);
    expect(isDue(dueAfter(7), 0, 7 * dayMs)).toBe(false);
  });

  it("is better by the verdict, and never without a report", () => {
    expect(judge(null, null).better).toBe(false);
    expect(judge(reportWith("no_gain", 0.9), null).better).toBe(false);
    expect(judge(reportWith("deploy", 0.5), null).better).toBe(true);
    expect(judge(reportWith("deploy", 0.5), reportWith("deploy", 0.5)).better).toBe(true);
    expect(judge(reportWith("deploy", 0.5), reportWith("deploy", 0.51)).better).toBe(false);
  });
});
