/** Of a re-tune: when one begins, and whether what came of it is better. */
import { describe, expect, it } from "vitest";
import { LeftOut } from "../../../edge/learning/left-out.ts";
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

const line = (fields: object) => JSON.stringify(fields);

describe("what would fail a whole re-tune is left out", () => {
  it("of two texts, and with labels that the job does not name", () => {
    const leftOut = new LeftOut("single-label", ["good", "bad"]);
    for (const label of ["good", "1"])
      expect(leftOut.takes(line({ text: "a", label }), false)).toBe(true);
    expect(leftOut.takes(line({ text: "a", text_pair: "b", label: "good" }), false)).toBe(false);
    expect(leftOut.inWords()).toMatch(/^1 correction is left out: 1 of two texts/);
    expect(leftOut.takes(line({ text: "a", text_pair: "b", label: "good" }), true)).toBe(true);
    expect(leftOut.takes(line({ text: "a", label: "elephant" }), false)).toBe(false);
    expect(leftOut.inWords()).toMatch(/^2 corrections are left out: 1 of .*; 1 with a label /);
  });

  it("of tags, spans and lists by each of their labels, and none where the job names none", () => {
    const tagged = line({ tokens: ["a", "b"], tags: ["B-PER", "O"] });
    expect(new LeftOut("tags", ["PER"]).takes(tagged, false)).toBe(true);
    expect(new LeftOut("tags", ["LOC"]).takes(tagged, false)).toBe(false);
    const spans = line({ text: "a", entities: [{ start: 0, end: 1, label: "PER" }] });
    expect(new LeftOut("spans", ["LOC"]).takes(spans, false)).toBe(false);
    const list = line({ text: "a", label: ["x", "y"] });
    expect(new LeftOut("multi-label", ["x"]).takes(list, false)).toBe(false);
    const any = new LeftOut("multi-label", null);
    expect([any.takes(list, false), any.inWords()]).toEqual([true, null]);
  });
});
