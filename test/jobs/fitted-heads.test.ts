/** Classifiers kept by key: fitted once, shared by requests at the same time, and unharmed by one that is aborted. */
import { describe, expect, it } from "vitest";
import { FittedHeads } from "../../gpu-worker/jobs/fitted-heads.ts";
import type { LinearHead } from "../../gpu-worker/model/linear-head.ts";

const never = new AbortController().signal;

function headOf(numbers: number): LinearHead {
  return { pooling: "mean", weight: new Float32Array(numbers), bias: new Float32Array(1) };
}

/** A fit that ends when told to, and how often it was asked for. */
function heldFit() {
  const held = Promise.withResolvers<LinearHead>();
  const fit = { count: 0, end: held.resolve, fail: held.reject };
  return Object.assign(fit, {
    run: () => {
      fit.count += 1;
      return held.promise;
    },
  });
}

describe("FittedHeads", () => {
  it("fits once for all who ask, then and later, and again for another key", async () => {
    const heads = new FittedHeads();
    const fit = heldFit();
    const asked = [heads.get("a", fit.run, never), heads.get("a", fit.run, never)];
    fit.end(headOf(4));
    const [one, two] = await Promise.all(asked);
    expect(two).toBe(one);
    expect(await heads.get("a", fit.run, never)).toBe(one);
    expect(fit.count).toBe(1);
    await heads.get("b", fit.run, never);
    expect(fit.count).toBe(2);
  });

  it("keeps no fit that failed, and lets a request that waited for it make its own", async () => {
    const heads = new FittedHeads();
    const failing = heldFit();
    const first = heads.get("a", failing.run, never);
    const second = heads.get("a", () => Promise.resolve(headOf(4)), never);
    failing.fail(new Error("left"));
    await expect(first).rejects.toThrow("left");
    expect((await second).weight).toHaveLength(4);
  });

  it("lets a caller leave while another's fit goes on", async () => {
    const heads = new FittedHeads();
    const fit = heldFit();
    const leaving = new AbortController();
    const first = heads.get("a", fit.run, never);
    const second = heads.get("a", fit.run, leaving.signal);
    leaving.abort(new Error("nobody waits"));
    await expect(second).rejects.toThrow("nobody waits");
    fit.end(headOf(4));
    expect((await first).weight).toHaveLength(4);
    expect(fit.count).toBe(1);
  });

  it("lets go of the one used longest ago where there is no room", async () => {
    const heads = new FittedHeads();
    const megabytes = 2 ** 18;
    let fits = 0;
    const get = (key: string) =>
      heads.get(
        key,
        () => {
          fits += 1;
          return Promise.resolve(headOf(24 * megabytes));
        },
        never,
      );
    for (const key of ["a", "b", "a", "c", "a", "b"]) await get(key);
    // c took the room of b, and b that of c.
    expect(fits).toBe(4);
    await get("a");
    expect(fits).toBe(4);
  });
});
