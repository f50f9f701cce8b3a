/** A re-tune whose job fails: on our side, or for what it was given. The worker that trains is played. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { claim, report, retrieve, sentFor, until } from "../fine-tuning/tuning-in-tests.ts";
import { type OutsideWorld } from "../jobs/outside-world.ts";
import {
  aliased,
  asked,
  beginRetunes,
  begun,
  correct,
  endRetunes,
  eventually,
  isIdle,
  pointedTo,
} from "./retune-in-tests.ts";

let world: OutsideWorld;

beforeEach(async () => {
  world = await beginRetunes();
});
afterEach(endRetunes);

/** The worker that has claimed a job says that it failed. */
async function failed(id: string, code: "internal_error" | "invalid_value"): Promise<void> {
  await sentFor(world, id);
  const order = await claim(id);
  if (order === null) throw new Error("nothing to claim");
  const error = { code, message: "Something broke.", param: null };
  await report(order, { outcome: { kind: "failed", error } });
  await until(id, "failed");
}

describe("a re-tune", () => {
  it("is tried again where its job failed on our side, on the same file, three jobs in all", async () => {
    const { name } = await aliased();
    await asked({ min_examples: 1 });
    await correct("Fine.", "good");
    const { job, file } = await begun();
    const jobs = [job];
    for (const count of [2, 3]) {
      await failed(jobs.at(-1) ?? "", "internal_error");
      const next = await eventually((each) => each.job !== null && !jobs.includes(each.job));
      expect(next.events[0]).toMatchObject({ level: "warn" });
      jobs.push(next.job ?? "");
      expect(new Set(jobs).size).toBe(count);
      expect((await retrieve(next.job ?? "")).training_file).toBe(file);
    }
    await failed(jobs.at(-1) ?? "", "internal_error");
    await eventually(isIdle);
    expect(await pointedTo()).toBe(name);
  });

  it("is not where its job failed for what it was given", async () => {
    await aliased();
    await asked({ min_examples: 1 });
    await correct("Fine.", "good");
    const { job } = await begun();
    await failed(job, "invalid_value");
    const { events } = await eventually(isIdle);
    expect(events[0]?.message).toContain(job);
  });
});
