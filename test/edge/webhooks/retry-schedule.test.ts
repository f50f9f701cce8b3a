/** When a delivery is tried next. The schedule is the one of docs/api.md. */
import { describe, expect, it } from "vitest";
import { type Attempt, judge } from "../../../edge/webhooks/retry-schedule.ts";

const schedule = [0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
const now = 1_763_900_000_000;

function answered(status: number, retryAfterSeconds: number | null = null): Attempt {
  return { kind: "answered", status, retryAfterSeconds };
}

const unanswered: Attempt = { kind: "unanswered", reason: "timeout" };

describe("a delivery", () => {
  it.each([200, 201, 204, 299])("is over after %i", (status) => {
    expect(judge(answered(status), 1, schedule, now)).toEqual({ kind: "delivered" });
  });

  it.each([100, 301, 302, 307, 308, 400, 404, 500, 503])("is tried again after %i", (status) => {
    expect(judge(answered(status), 1, schedule, now)).toEqual({ kind: "again", at: now + 5_000 });
  });

  it("is tried again where nobody answered", () => {
    expect(judge(unanswered, 1, schedule, now)).toEqual({ kind: "again", at: now + 5_000 });
  });

  it("follows the whole schedule, then stops", () => {
    const pauses = [];
    let tries = 1;
    for (; ; tries += 1) {
      const verdict = judge(unanswered, tries, schedule, now);
      if (verdict.kind !== "again") {
        expect(verdict).toEqual({ kind: "exhausted" });
        break;
      }
      pauses.push((verdict.at - now) / 1_000);
    }
    expect(pauses).toEqual(schedule.slice(1));
    expect(tries).toBe(10);
  });

  it("ends where the endpoint answers 410", () => {
    expect(judge(answered(410), 1, schedule, now)).toEqual({ kind: "disabled" });
  });

  it.each([429, 502, 504])("waits as long as an overloaded endpoint asks (%i)", (status) => {
    const at = (retryAfter: number) => judge(answered(status, retryAfter), 1, schedule, now);
    expect(at(60)).toEqual({ kind: "again", at: now + 60_000 });
    expect(at(1)).toEqual({ kind: "again", at: now + 5_000 });
    expect(at(1_000_000)).toEqual({ kind: "again", at: now + 3_600_000 });
  });

  it("does not wait as long as an endpoint asks that is not overloaded", () => {
    expect(judge(answered(500, 60), 1, schedule, now)).toEqual({ kind: "again", at: now + 5_000 });
  });
});
