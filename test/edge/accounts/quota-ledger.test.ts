/** The books of a tenant, with the time in the test's hands: windows, days, reservations. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { QuotaLedger } from "../../../edge/accounts/quota-ledger.ts";

const limits = { requestsPerMinute: 3, unitsPerDay: 100, openRequests: 8 };
/** A day's first millisecond. */
const midnightMs = Date.UTC(2026, 10, 2);
const noonMs = midnightMs + 43_200_000;
const dayMs = 86_400_000;

let tenants = 0;

/** Runs on a ledger of its own, in a real object's SQLite. */
function withLedger(test: (ledger: QuotaLedger) => void): Promise<void> {
  tenants += 1;
  const stub = env.QUOTA.getByName(`ledger-${tenants}`);
  return runInDurableObject(stub, (_, state) => test(new QuotaLedger(state.storage.sql)));
}

function reserve(
  ledger: QuotaLedger,
  jobId: string,
  units: number,
  more: Partial<{ requestKey: string; at: number; again: boolean }> = {},
) {
  const { requestKey = null, at = noonMs, again = false } = more;
  const request = { jobId, requestKey, units, again };
  return ledger.reserve(request, { ...limits, requestsPerMinute: 1_000 }, at);
}

describe("requests", () => {
  it("have a window that the first one opens, without refill inside it", () =>
    withLedger((ledger) => {
      const at = (ms: number) => ledger.count(limits, noonMs + ms);
      expect(at(0)).toMatchObject({
        refusal: null,
        snapshot: { requests: { remaining: 2, resetMs: 60_000 } },
      });
      expect(at(30_000).snapshot.requests).toEqual({ limit: 3, remaining: 1, resetMs: 30_000 });
      expect(at(30_000).refusal).toBeNull();
      expect(at(59_999)).toMatchObject({
        refusal: "minute",
        snapshot: { requests: { remaining: 0, resetMs: 1 } },
      });
      expect(at(60_000)).toMatchObject({
        refusal: null,
        snapshot: { requests: { remaining: 2, resetMs: 60_000 } },
      });
    }));

  it("that are refused reserve nothing", () =>
    withLedger((ledger) => {
      for (const id of ["a", "b", "c"])
        ledger.reserve({ jobId: id, requestKey: null, units: 10 }, limits, noonMs);
      const refused = ledger.reserve({ jobId: "d", requestKey: null, units: 10 }, limits, noonMs);
      expect(refused).toMatchObject({ refusal: "minute" });
      expect(refused.snapshot.units.remaining).toBe(70);
    }));
});

describe("units", () => {
  it("are refused past the day's, and the request still counts", () =>
    withLedger((ledger) => {
      expect(reserve(ledger, "a", 60).refusal).toBeNull();
      const refused = reserve(ledger, "b", 41);
      expect(refused).toMatchObject({ refusal: "day" });
      expect(refused.snapshot.units).toEqual({ limit: 100, remaining: 40, resetMs: dayMs / 2 });
      expect(refused.snapshot.requests.remaining).toBe(998);
      expect(reserve(ledger, "c", 40).refusal).toBeNull();
    }));

  it("begin anew at midnight UTC", () =>
    withLedger((ledger) => {
      reserve(ledger, "a", 100, { at: midnightMs - 1 });
      expect(reserve(ledger, "b", 1, { at: midnightMs - 1 }).refusal).toBe("day");
      expect(reserve(ledger, "c", 100, { at: midnightMs }).refusal).toBeNull();
    }));

  it("are settled once, up or down, to what was read", () =>
    withLedger((ledger) => {
      reserve(ledger, "a", 50);
      expect(ledger.settle("a", 20, noonMs)).toBe(true);
      expect(ledger.settle("a", 90, noonMs)).toBe(false);
      expect(ledger.count(limits, noonMs).snapshot.units.remaining).toBe(80);
      reserve(ledger, "b", 10);
      ledger.settle("b", 200, noonMs);
      expect(ledger.count(limits, noonMs).snapshot.units.remaining).toBe(0);
    }));

  it("come back whole from a job that failed", () =>
    withLedger((ledger) => {
      reserve(ledger, "a", 50);
      ledger.settle("a", 0, noonMs);
      expect(ledger.count(limits, noonMs).snapshot.units.remaining).toBe(100);
    }));

  it("of yesterday's job are not taken from today", () =>
    withLedger((ledger) => {
      reserve(ledger, "a", 50, { at: midnightMs - 1 });
      reserve(ledger, "b", 30, { at: midnightMs });
      expect(ledger.settle("a", 10, midnightMs + 1)).toBe(true);
      expect(ledger.count(limits, midnightMs + 1).snapshot.units.remaining).toBe(70);
    }));

  it("of a job nobody knows change nothing", () =>
    withLedger((ledger) => {
      expect(ledger.settle("never", 10, noonMs)).toBe(false);
      expect(ledger.count(limits, noonMs).snapshot.units.remaining).toBe(100);
    }));
});

describe("an open reservation", () => {
  it("is joined by the same request, which keeps its job and is charged once", () =>
    withLedger((ledger) => {
      expect(reserve(ledger, "a", 60, { requestKey: "k" }).jobId).toBe("a");
      const again = reserve(ledger, "b", 60, { requestKey: "k" });
      expect(again).toMatchObject({ refusal: null, jobId: "a" });
      expect(again.snapshot.units.remaining).toBe(40);
    }));

  it("is not joined by another request, nor by one without a key", () =>
    withLedger((ledger) => {
      reserve(ledger, "a", 10, { requestKey: "k" });
      expect(reserve(ledger, "b", 10, { requestKey: "l" }).jobId).toBe("b");
      expect(reserve(ledger, "c", 10).jobId).toBe("c");
      expect(reserve(ledger, "d", 10).jobId).toBe("d");
    }));

  it("is not joined once settled", () =>
    withLedger((ledger) => {
      reserve(ledger, "a", 10, { requestKey: "k" });
      ledger.settle("a", 10, noonMs);
      expect(reserve(ledger, "b", 10, { requestKey: "k" }).jobId).toBe("b");
    }));

  it("settled a moment ago is charged again by the same request: it is computed again", () =>
    withLedger((ledger) => {
      reserve(ledger, "a", 10, { requestKey: "k" });
      ledger.settle("a", 10, noonMs);
      const again = reserve(ledger, "b", 10, { requestKey: "k", at: noonMs + 1_000 });
      expect(again).toMatchObject({ refusal: null, jobId: "b" });
      expect(again.snapshot.units.remaining).toBe(80);
      expect(ledger.settle("b", 10, noonMs + 2_000)).toBe(true);
    }));

  it("says of the same request for a minute that it was charged: its result may be there by now", () =>
    withLedger((ledger) => {
      const settledLately = (at: number) =>
        reserve(ledger, `again-${at}`, 10, { requestKey: "k", at, again: true }).settledLately;
      reserve(ledger, "a", 10, { requestKey: "k" });
      expect(settledLately(noonMs)).toBe(false);
      ledger.settle("a", 0, noonMs);
      expect(settledLately(noonMs + 1)).toBe(false);
      ledger.settle(`again-${noonMs}`, 10, noonMs + 2);
      expect(settledLately(noonMs + 60_001)).toBe(true);
      expect(settledLately(noonMs + 60_002)).toBe(false);
    }));

  it("that several requests share is closed by the last that comes to nothing", () =>
    withLedger((ledger) => {
      reserve(ledger, "a", 10, { requestKey: "k" });
      reserve(ledger, "b", 10, { requestKey: "k" });
      ledger.release("a", noonMs);
      expect(ledger.count(limits, noonMs).snapshot.units.remaining).toBe(90);
      ledger.release("a", noonMs);
      expect(ledger.count(limits, noonMs).snapshot.units.remaining).toBe(100);
      expect(ledger.settle("a", 10, noonMs)).toBe(false);
    }));

  it("is not joined by a request that is admitted again, which is not counted twice", () =>
    withLedger((ledger) => {
      reserve(ledger, "a", 10, { requestKey: "k" });
      const again = reserve(ledger, "b", 10, { requestKey: "k", again: true });
      expect(again).toMatchObject({ refusal: null, jobId: "b" });
      expect(again.snapshot.units.remaining).toBe(80);
      expect(again.snapshot.requests.remaining).toBe(999);
      // The newest is what a third one joins.
      expect(reserve(ledger, "c", 10, { requestKey: "k" }).jobId).toBe("b");
    }));

  it("can be settled as late as a job can end, and is dropped after that", () =>
    withLedger((ledger) => {
      reserve(ledger, "a", 10, { requestKey: "k" });
      ledger.purge(noonMs + dayMs + 3_600_000);
      expect(ledger.settle("a", 30, noonMs + dayMs + 3_600_000)).toBe(true);
      expect(ledger.count(limits, noonMs + dayMs + 3_600_000).snapshot.units.remaining).toBe(80);
      reserve(ledger, "b", 10, { requestKey: "k" });
      ledger.purge(noonMs + 2 * dayMs);
      expect(ledger.settle("b", 10, noonMs + 2 * dayMs)).toBe(false);
    }));
});

const names = (count: number) => Array.from({ length: count }, (_, at) => `r${at}`);

describe("open requests", () => {
  it("are at most eight at once, however they end", () =>
    withLedger((ledger) => {
      for (const id of names(8)) expect(reserve(ledger, id, 1).refusal).toBeNull();
      expect(reserve(ledger, "ninth", 1).refusal).toBe("open");
      ledger.settle("r0", 1, noonMs);
      expect(reserve(ledger, "tenth", 1).refusal).toBeNull();
      expect(reserve(ledger, "eleventh", 1).refusal).toBe("open");
      ledger.release("r1", noonMs);
      expect(reserve(ledger, "twelfth", 1).refusal).toBeNull();
    }));

  it("are joined by the same request without another place", () =>
    withLedger((ledger) => {
      for (const id of names(8)) reserve(ledger, id, 1, { requestKey: id });
      expect(reserve(ledger, "again", 1, { requestKey: "r3" })).toMatchObject({
        refusal: null,
        jobId: "r3",
      });
    }));

  it("whose end nobody reports give their place back after an hour, and stay charged", () =>
    withLedger((ledger) => {
      for (const id of names(8)) reserve(ledger, id, 5);
      expect(reserve(ledger, "a", 5, { at: noonMs + 3_599_999 }).refusal).toBe("open");
      const after = reserve(ledger, "b", 5, { at: noonMs + 3_600_000 });
      expect(after.refusal).toBeNull();
      expect(after.snapshot.units.remaining).toBe(55);
    }));
});

const read = (ledger: QuotaLedger, id: string, units: number, at: number) => {
  expect(reserve(ledger, id, 10, { at }).refusal).toBeNull();
  ledger.settle(id, units, at);
};

const left = (ledger: QuotaLedger, at: number) =>
  ledger.count({ ...limits, requestsPerMinute: 1_000 }, at).snapshot.units.remaining;

describe("a debt", () => {
  it("is what was read beyond the day's units, and the next day starts with it", () =>
    withLedger((ledger) => {
      read(ledger, "a", 130, noonMs);
      expect(left(ledger, noonMs)).toBe(0);
      expect(left(ledger, midnightMs + dayMs)).toBe(70);
    }));

  it("is paid off by days on which nothing is read", () =>
    withLedger((ledger) => {
      read(ledger, "a", 330, noonMs);
      expect(left(ledger, midnightMs + dayMs)).toBe(0);
      expect(left(ledger, midnightMs + 2 * dayMs)).toBe(0);
      expect(left(ledger, midnightMs + 3 * dayMs)).toBe(70);
      expect(left(ledger, midnightMs + 4 * dayMs)).toBe(100);
    }));

  it("is what a job of yesterday read beyond its reservation", () =>
    withLedger((ledger) => {
      reserve(ledger, "a", 50, { at: midnightMs - 1 });
      ledger.settle("a", 90, midnightMs + 1);
      expect(left(ledger, midnightMs + 1)).toBe(60);
    }));

  it("shrinks by what comes back from a job of yesterday", () =>
    withLedger((ledger) => {
      reserve(ledger, "a", 50, { at: midnightMs - 1 });
      read(ledger, "b", 80, midnightMs - 1);
      expect(left(ledger, midnightMs)).toBe(70);
      ledger.settle("a", 0, midnightMs);
      expect(left(ledger, midnightMs)).toBe(100);
    }));

  it("keeps the books until it is paid", () =>
    withLedger((ledger) => {
      read(ledger, "a", 330, noonMs);
      expect(ledger.purge(midnightMs + dayMs)).toBe(midnightMs + 2 * dayMs);
      expect(ledger.purge(midnightMs + 3 * dayMs)).toBe(midnightMs + 4 * dayMs);
      expect(ledger.purge(midnightMs + 4 * dayMs)).toBeNull();
    }));
});

describe("purging", () => {
  it("says until when the books matter, and then that they do not", () =>
    withLedger((ledger) => {
      expect(ledger.purge(noonMs)).toBeNull();
      ledger.count(limits, noonMs);
      expect(ledger.purge(noonMs)).toBe(noonMs + 60_000);
      reserve(ledger, "a", 10);
      expect(ledger.purge(noonMs)).toBe(noonMs + 2 * dayMs);
      ledger.settle("a", 10, noonMs);
      expect(ledger.purge(noonMs)).toBe(midnightMs + dayMs);
      expect(ledger.purge(midnightMs + dayMs)).toBeNull();
    }));
});
