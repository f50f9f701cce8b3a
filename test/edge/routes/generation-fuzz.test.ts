/** Bodies that nobody means, at every address that has a model write: answered or refused, and never by a failure. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { call } from "../jobs/caller-and-worker.ts";
import { announce, decoder, install } from "../stand-in-worker.ts";
import { told, writing } from "../written.ts";
import { GenerationFuzzer } from "../../generation-fuzzer.ts";

const count = 500;
const batch = 50;
/** Of a text: larger bodies travel by object storage, which is not here. */
const longest = 8_000;

beforeEach(async () => {
  install(writing([told]));
  await announce([decoder]);
});
afterEach(() => vi.unstubAllGlobals());

it.each(Array.from({ length: count / batch }, (_, at) => at + 1))(
  `answers or refuses ${batch} bodies of ${count}, from seed %i`,
  async (seed) => {
    const fuzzer = new GenerationFuzzer(seed, decoder.id, longest);
    const statuses: number[] = [];
    for (let at = 0; at < batch; at += 1) {
      const { path, body } = fuzzer.call();
      const text = JSON.stringify(body);
      const response = await call(path, { body, headers: { "cache-control": "no-store" } });
      const asked = `${path} ${text.slice(0, 400)}`;
      expect(response.status, asked).toBeLessThan(500);
      const answer = await response.text();
      // A response has one that is null.
      expect(/"error":(?!null)/.test(answer), asked).toBe(response.status !== 200);
      statuses.push(response.status);
    }
    // Some of each: bodies that are all refused at their first field try nothing.
    expect(statuses).toContain(200);
    expect(statuses).toContain(400);
  },
);
