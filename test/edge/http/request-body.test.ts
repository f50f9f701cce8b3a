/** Bodies that say how large they are and do not come, and those that do not say. */
import { afterEach, expect, it, vi } from "vitest";
import { BodyPermit } from "../../../edge/http/body-permit.ts";
import { readBody } from "../../../edge/http/request-body.ts";

const bytesMax = 1_000_000;

afterEach(() => {
  vi.useRealTimers();
});

function request(body: ReadableStream, headers: Record<string, string> = {}): Request {
  return new Request("https://edge.test/v1/embeddings", { method: "POST", body, headers });
}

function permit(): BodyPermit {
  return new BodyPermit(new Request("https://edge.test/"));
}

/** Chunks of some bytes each, as bytes arrive. */
function streamOf(chunks: number, bytesEach: number): ReadableStream {
  let left = chunks;
  return new ReadableStream({
    type: "bytes",
    pull: (controller) => {
      if (left === 0) controller.close();
      else controller.enqueue(new Uint8Array(bytesEach).fill(0x61));
      left -= 1;
    },
  });
}

it.each([
  [1, 1],
  [3, 30_000],
  [500, 2_000],
])("reads %i chunks of %i bytes that were not announced", async (chunks, bytesEach) => {
  const body = await readBody(request(streamOf(chunks, bytesEach)), bytesMax, permit());
  expect(body.byteLength).toBe(chunks * bytesEach);
  expect(body.every((byte) => byte === 0x61)).toBe(true);
});

it("refuses one that grows past the limit, however it arrives", async () => {
  const tooLarge = readBody(request(streamOf(1_001, 1_000)), bytesMax, permit());
  await expect(tooLarge).rejects.toMatchObject({ code: "request_too_large" });
});

it("gives up one that keeps its permit and does not arrive", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const never = new ReadableStream({ type: "bytes", pull: () => new Promise(() => {}) });
  const stalled = readBody(request(never, { "content-length": "900000" }), bytesMax, permit());
  const given = expect(stalled).rejects.toMatchObject({ code: "request_timeout" });
  await vi.advanceTimersByTimeAsync(10_000);
  await given;
});
