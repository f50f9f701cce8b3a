import { describe, expect, it } from "vitest";
import { SharedTask } from "../../gpu-worker/event-loop/shared-task.ts";

/** Work that ends when told, and otherwise only by its signal. */
function openWork() {
  const outcome = Promise.withResolvers<string>();
  const begun = Promise.withResolvers<AbortSignal>();
  const work = new SharedTask<string>((signal) => {
    begun.resolve(signal);
    signal.addEventListener("abort", () => outcome.reject(signal.reason));
    return outcome.promise;
  });
  return { work, outcome, begun: begun.promise };
}

describe("work that is shared", () => {
  it("gives all the same, whoever has left meanwhile", async () => {
    const { work, outcome, begun } = openWork();
    const leaving = new AbortController();
    const waiting = [leaving, new AbortController(), new AbortController()].map(({ signal }) =>
      work.join(signal),
    );
    leaving.abort(new Error("left"));
    await expect(waiting[0]).rejects.toThrow("left");
    expect((await begun).aborted).toBe(false);
    outcome.resolve("done");
    expect(await Promise.all(waiting.slice(1))).toEqual(["done", "done"]);
    expect(work.givenUp).toBe(false);
  });

  it("is aborted when the last has left", async () => {
    const { work, begun } = openWork();
    const [one, two] = [new AbortController(), new AbortController()];
    const waiting = [work.join(one.signal), work.join(two.signal)];
    one.abort(new Error("one left"));
    two.abort(new Error("two left"));
    await expect(waiting[0]).rejects.toThrow("one left");
    await expect(waiting[1]).rejects.toThrow("two left");
    expect((await begun).reason).toEqual(new Error("two left"));
    expect(work.givenUp).toBe(true);
  });

  it("fails for all that wait", async () => {
    const { work, outcome } = openWork();
    const waiting = [
      work.join(new AbortController().signal),
      work.join(new AbortController().signal),
    ];
    outcome.reject(new Error("broken"));
    for (const each of waiting) await expect(each).rejects.toThrow("broken");
  });

  it("does not begin to wait for who has left already", async () => {
    const { work } = openWork();
    await expect(work.join(AbortSignal.abort(new Error("gone")))).rejects.toThrow("gone");
    expect(work.givenUp).toBe(false);
    await work.abort(new Error("over"));
    expect(work.givenUp).toBe(true);
  });
});
