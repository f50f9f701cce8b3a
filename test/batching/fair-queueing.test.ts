/** How tenants share the machine who always want more than they get, each with so many requests open at a time. */
import { describe, expect, it } from "vitest";
import { FairQueueing } from "../../gpu-worker/batching/fair-queueing.ts";
import { randomFrom } from "../../contract/random.ts";

type Quantum = { tenant: string; startTag: number; last: boolean };

/** Serves `quanta` in the order of start tags; a request that ends is followed by another of its tenant. */
function serve(open: Readonly<Record<string, number>>, quanta: number, sizeMax: number) {
  const queueing = new FairQueueing();
  const random = randomFrom(7);
  const waiting: Quantum[] = [];
  const served: Record<string, number> = {};
  const ask = (tenant: string) => {
    const size = 1 + Math.floor(random() * sizeMax);
    const { first, step } = queueing.open(tenant, size);
    for (let i = 0; i < size; i += 1) {
      waiting.push({ tenant, startTag: first + i * step, last: i === size - 1 });
    }
  };
  for (const [tenant, count] of Object.entries(open)) {
    for (let i = 0; i < count; i += 1) ask(tenant);
  }
  for (let i = 0; i < quanta; i += 1) {
    const at = waiting.reduce(
      (best, { startTag }, j) => (startTag < (waiting[best]?.startTag ?? 0) ? j : best),
      0,
    );
    const [next] = waiting.splice(at, 1);
    if (next === undefined) break;
    queueing.advance(next.startTag);
    served[next.tenant] = (served[next.tenant] ?? 0) + 1;
    if (!next.last) continue;
    queueing.close(next.tenant);
    ask(next.tenant);
  }
  return served;
}

describe("FairQueueing", () => {
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
      // Half where requests are of one quantum; the harmonic number of the requests open is the most that larger ones
      // gain.
      const harmonic = Array.from({ length: count }, (_, i) => 1 / (i + 1)).reduce(
        (a, b) => a + b,
        0,
      );
      const least = sizeMax === 1 ? 0.45 : 1 / (1.2 + harmonic);
      expect((served["alone"] ?? 0) / 4_000).toBeGreaterThan(least);
    },
  );

  it("gives a tenant that comes anew no credit for the time it was away", () => {
    const queueing = new FairQueueing();
    queueing.advance(100);
    expect(queueing.open("new", 1)).toEqual({ first: 100, step: 1 });
    queueing.close("new");
    expect(queueing.open("new", 1).first).toBe(100);
  });

  it("charges what is served to a tenant that has something open", () => {
    const queueing = new FairQueueing();
    queueing.open("a", 0);
    expect(queueing.next("a")).toBe(0);
    queueing.serve("a", 0.5);
    queueing.serve("nobody", 3);
    expect([queueing.next("a"), queueing.next("nobody")]).toEqual([0.5, 0]);
    queueing.advance(2);
    queueing.serve("a", 1);
    expect([queueing.next("a"), queueing.open("b", 1).first]).toEqual([3, 2]);
  });
});
