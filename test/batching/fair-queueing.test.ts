/** How tenants share the machine who always want more than they get, each with so many requests open at a time. */
import { describe, expect, it } from "vitest";
import { TenantTurns } from "../../gpu-worker/batching/fair-queueing.ts";
import { randomFrom } from "../../bench/harness/random.ts";

type Quantum = { tenant: string; turn: number; last: boolean };

/** Serves `quanta` in the order of turns; a request that ends is followed by another of its tenant. */
function serve(open: Readonly<Record<string, number>>, quanta: number, sizeMax: number) {
  const turns = new TenantTurns();
  const random = randomFrom(7);
  const waiting: Quantum[] = [];
  const served: Record<string, number> = {};
  const ask = (tenant: string) => {
    const size = 1 + Math.floor(random() * sizeMax);
    const { first, step } = turns.open(tenant, size);
    for (let i = 0; i < size; i += 1) {
      waiting.push({ tenant, turn: first + i * step, last: i === size - 1 });
    }
  };
  for (const [tenant, count] of Object.entries(open)) {
    for (let i = 0; i < count; i += 1) ask(tenant);
  }
  for (let i = 0; i < quanta; i += 1) {
    const at = waiting.reduce(
      (best, { turn }, j) => (turn < (waiting[best]?.turn ?? 0) ? j : best),
      0,
    );
    const [next] = waiting.splice(at, 1);
    if (next === undefined) break;
    turns.reach(next.turn);
    served[next.tenant] = (served[next.tenant] ?? 0) + 1;
    if (!next.last) continue;
    turns.close(next.tenant);
    ask(next.tenant);
  }
  return served;
}

describe("TenantTurns", () => {
  it.each([
    [1, 1],
    [8, 1],
    [64, 1],
    [8, 20],
    [64, 20],
  ])(
    "a tenant with %i requests of up to %i quanta leaves another a fair share",
    (count, sizeMax) => {
      const served = serve({ crowd: count, alone: 1 }, 4_000, sizeMax);
      // Half where requests are of one quantum; the harmonic number of the requests open is the most that larger ones gain.
      const harmonic = Array.from({ length: count }, (_, i) => 1 / (i + 1)).reduce(
        (a, b) => a + b,
        0,
      );
      const least = sizeMax === 1 ? 0.45 : 1 / (1.2 + harmonic);
      expect((served["alone"] ?? 0) / 4_000).toBeGreaterThan(least);
    },
  );

  it("gives a tenant that comes anew no credit for the time it was away", () => {
    const turns = new TenantTurns();
    turns.reach(100);
    expect(turns.open("new", 1)).toEqual({ first: 100, step: 1 });
    turns.close("new");
    expect(turns.open("new", 1).first).toBe(100);
  });
});
