/** Calls of an object store that is busy, and of one whose connections break. */
import { env } from "cloudflare:workers";
import { afterEach, expect, it, vi } from "vitest";
import { settingsOf } from "../../../edge/environment.ts";
import { sendToStore } from "../../../edge/storage/s3-request.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

/** What each try meets, in turn: an answer of that status, or no answer. */
function meeting(...met: (number | Error)[]) {
  return vi.spyOn(globalThis, "fetch").mockImplementation(async () => {
    const next = met.shift();
    if (typeof next === "number") return new Response("", { status: next });
    throw next ?? new Error("asked once too often");
  });
}

const broken = new Error("Network connection lost.");
const never = new AbortController().signal;
const get = (signal = never) => sendToStore(settingsOf(env), { method: "GET", key: "a", signal });

it.each([
  ["is busy", 503, 3],
  ["is throttled", 429, 2],
  ["loses its connection", broken, 3],
])("asks again where the store %s", async (_, met, times) => {
  const fetched = meeting(...Array<number | Error>(times).fill(met), 200);
  expect((await get()).status).toBe(200);
  expect(fetched).toHaveBeenCalledTimes(times + 1);
});

it("gives up after four tries, with what the last one met", async () => {
  meeting(503, broken, 503, 503);
  expect((await get()).status).toBe(503);
  meeting(503, 503, 503, broken);
  await expect(get()).rejects.toBe(broken);
});

it("asks once where nobody waits any more, and where the answer would be the same", async () => {
  const aborted = AbortSignal.abort(broken);
  const fetched = meeting(broken);
  await expect(get(aborted)).rejects.toBe(broken);
  expect(fetched).toHaveBeenCalledTimes(1);
  meeting(404);
  expect((await get()).status).toBe(404);
});
