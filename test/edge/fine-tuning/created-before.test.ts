/** A creation that is sent again makes no second job: by its key, or as OpenAI's clients try again. */
import { runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TuningJobObject } from "../../../edge/fine-tuning/show-job.ts";
import { call, errorOf } from "../caller.ts";
import type { OutsideWorld } from "../jobs/outside-world.ts";
import { miniLm } from "../stand-in-worker.ts";
import {
  beginTuning,
  endTuning,
  get,
  post,
  secondsUsed,
  tuning,
  upload,
} from "./tuning-in-tests.ts";

let world: OutsideWorld;
let training_file: string;

beforeEach(async () => {
  world = await beginTuning();
  training_file = await upload();
});
afterEach(endTuning);

function send(headers: Record<string, string>, more: object = {}): Promise<Response> {
  const body = { model: miniLm.id, training_file, max_seconds: 10, ...more };
  return call("/v1/fine_tuning/jobs", body, { operator: true, headers });
}

async function idOf(response: Promise<Response>): Promise<string> {
  const answer = await response;
  const job = await answer.json<TuningJobObject>();
  expect(answer.status, JSON.stringify(job)).toBe(200);
  return job.id;
}

const key = (name: string) => ({ "idempotency-key": name });
const retry = (count: number) => ({ "x-stainless-retry-count": String(count) });

/** As if so long had passed. */
function pass(milliseconds: number): Promise<unknown> {
  return runInDurableObject(tuning(), (_, { storage }) =>
    storage.sql.exec("UPDATE creations SET at = at - ?", milliseconds),
  );
}

describe("an Idempotency-Key", () => {
  it("makes one job of all that are sent with it, at once and later, and reserves its seconds once", async () => {
    const ids = await Promise.all([1, 2, 3, 4, 5].map(() => idOf(send(key("a")))));
    expect(new Set(ids).size).toBe(1);
    await post(`/${ids[0]}/cancel`);
    expect(await (await send(key("a"))).json()).toMatchObject({ id: ids[0], status: "cancelled" });
    expect(await secondsUsed()).toBe(0);
    expect(await idOf(send(key("b")))).not.toBe(ids[0]);
    expect(await secondsUsed()).toBe(10);
  });

  it("is answered when its files are gone, and forgotten after a day", async () => {
    const first = await idOf(send(key("a")));
    expect(await idOf(send(key("a")))).toBe(first);
    await pass(24 * 3_600_000);
    expect(await idOf(send(key("a")))).not.toBe(first);
  });

  it("with another body is a conflict that is not to be tried again", async () => {
    await idOf(send(key("a")));
    const refused = await send(key("a"), { suffix: "other" });
    expect(refused.headers.get("x-should-retry")).toBe("false");
    expect(await errorOf(refused)).toMatchObject({
      status: 409,
      code: "idempotency_key_conflict",
      param: "idempotency-key",
    });
  });

  it("of no use is named", async () => {
    for (const name of ["", "k".repeat(256)])
      expect(await errorOf(await send(key(name)))).toMatchObject({
        status: 400,
        param: "idempotency-key",
      });
  });
});

describe("what is tried again by a client that sends no key", () => {
  it("is the job that its body made", async () => {
    const first = await idOf(send(retry(0)));
    expect(await idOf(send(retry(1)))).toBe(first);
    expect(await idOf(send(retry(2)))).toBe(first);
    expect(await idOf(send(retry(1), { seed: 4 }))).not.toBe(first);
    expect(await idOf(send(retry(0)))).not.toBe(first);
  });

  it("makes a job where the one before is long ago, or the same was refused since", async () => {
    const first = await idOf(send(retry(0)));
    await pass(15 * 60_000);
    const second = await idOf(send(retry(1)));
    expect(second).not.toBe(first);
    const others = [await idOf(send(retry(0))), await idOf(send(retry(0)))];
    expect((await send(retry(0))).status).toBe(429);
    expect((await send(retry(1))).status).toBe(429);
    await post(`/${others[0]}/cancel`);
    expect([first, second, ...others]).not.toContain(await idOf(send(retry(2))));
    const listed = await (await get("")).json<{ data: object[] }>();
    expect(listed.data).toHaveLength(5);
    expect(world.trainingMessages).toEqual([]);
  });
});
