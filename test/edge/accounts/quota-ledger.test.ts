/** The books of a tenant, with the time in the test's hands: windows, days, reservations. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { QuotaLedger } from "../../../edge/accounts/quota-ledger.ts";

const limits = { requestsPerMinute: 3, unitsPerDay: 100 };
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
  more: Partial<{ requestKey: string; at: number }> = {},
) {
  const { requestKey = null, at = noonMs } = more;
  return ledger.reserve({ jobId, requestKey, units }, { ...limits, requestsPerMinute: 1_000 }, at);
}

describe("requests", () => {
  it("have a window that the first one opens, without refill inside it", () =>
    withLedger((ledger) => {
      const at = (ms: number) => ledger.count(limits, noonMs + ms);
      expect(at(0)).toMatchObject({
        admitted: true,
        snapshot: { requests: { remaining: 2, resetMs: 60_000 } },
      });
      expect(at(30_000).snapshot.requests).toEqual({ limit: 3, remaining: 1, resetMs: 30_000 });
      expect(at(30_000).admitted).toBe(true);
      expect(at(59_999)).toMatchObject({
        admitted: false,
        code: "rate_limit_exceeded",
        snapshot: { requests: { remaining: 0, resetMs: 1 } },
      });
      expect(at(60_000)).toMatchObject({
        admitted: true,
        snapshot: { requests: { remaining: 2, resetMs: 60_000 } },
      });
    }));

  it("that are refused reserve nothing", () =>
    withLedger((ledger) => {
      for (const id of ["a", "b", "c"])
        ledger.reserve({ jobId: id, requestKey: null, units: 10 }, limits, noonMs);
      const refused = ledger.reserve({ jobId: "d", requestKey: null, units: 10 }, limits, noonMs);
      expect(refused).toMatchObject({ admitted: false, code: "rate_limit_exceeded" });
      expect(refused.snapshot.units.remaining).toBe(70);
    }));
});

describe("units", () => {
  it("are refused past the day's, and the request still counts", () =>
    withLedger((ledger) => {
      expect(reserve(ledger, "a", 60).admitted).toBe(true);
      const refused = reserve(ledger, "b", 41);
      expect(refused).toMatchObject({ admitted: false, code: "insufficient_quota" });
      expect(refused.snapshot.units).toEqual({ limit: 100, remaining: 40, resetMs: dayMs / 2 });
      expect(refused.snapshot.requests.remaining).toBe(998);
      expect(reserve(ledger, "c", 40).admitted).toBe(true);
    }));

  it("begin anew at midnight UTC", () =>
    withLedger((ledger) => {
      reserve(ledger, "a", 100, { at: midnightMs - 1 });
      expect(reserve(ledger, "b", 1, { at: midnightMs - 1 }).admitted).toBe(false);
      expect(reserve(ledger, "c", 100, { at: midnightMs }).admitted).toBe(true);
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
      expect(again).toMatchObject({ admitted: true, jobId: "a" });
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

  it("settled a moment ago is not charged again; later, or as a failure, it is", () =>
    withLedger((ledger) => {
      reserve(ledger, "a", 10, { requestKey: "k" });
      ledger.settle("a", 10, noonMs);
      const again = reserve(ledger, "b", 10, { requestKey: "k", at: noonMs + 1_000 });
      expect(again).toMatchObject({ admitted: true, jobId: "b" });
      expect(again.snapshot.units.remaining).toBe(90);
      expect(ledger.settle("b", 10, noonMs + 2_000)).toBe(false);
      const later = reserve(ledger, "c", 10, { requestKey: "k", at: noonMs + 60_000 });
      expect(later.snapshot.units.remaining).toBe(80);
      ledger.settle("c", 0, noonMs + 60_000);
      const failed = reserve(ledger, "d", 10, { requestKey: "k", at: noonMs + 61_000 });
      expect(failed.snapshot.units.remaining).toBe(80);
    }));

  it("lapses after a day", () =>
    withLedger((ledger) => {
      reserve(ledger, "a", 10, { requestKey: "k" });
      expect(reserve(ledger, "b", 10, { requestKey: "k", at: noonMs + dayMs }).jobId).toBe("b");
      ledger.purge(noonMs + dayMs);
      expect(ledger.settle("a", 10, noonMs + dayMs)).toBe(false);
      expect(ledger.settle("b", 10, noonMs + dayMs)).toBe(true);
    }));
});

describe("purging", () => {
  it("says until when the books matter, and then that they do not", () =>
    withLedger((ledger) => {
      expect(ledger.purge(noonMs)).toBeNull();
      ledger.count(limits, noonMs);
      expect(ledger.purge(noonMs)).toBe(noonMs + 60_000);
      reserve(ledger, "a", 10);
      expect(ledger.purge(noonMs)).toBe(noonMs + dayMs);
      ledger.settle("a", 10, noonMs);
      expect(ledger.purge(noonMs)).toBe(midnightMs + dayMs);
      expect(ledger.purge(midnightMs + dayMs)).toBeNull();
    }));
});
