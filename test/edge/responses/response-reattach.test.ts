/** Events of a response that are told again once they are gone: from what is kept, and by a worker that goes on. */
import { abortAllDurableObjects, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { JobMessage } from "../../../contract/job-message.ts";
import { shardStub } from "../../../edge/jobs/shard-stub.ts";
import { type SseEvent, SseReader } from "../../sse-reader.ts";
import { call, failed, report, sent, started } from "../jobs/caller-and-worker.ts";
import { openOutsideWorld, type OutsideWorld } from "../jobs/outside-world.ts";
import { generated, tokens, writer } from "../jobs/streams-in-tests.ts";
import { announce } from "../stand-in-worker.ts";
import { token } from "../written.ts";
import {
  background,
  create,
  ends,
  get,
  numbersOf,
  path,
  pieces,
  queued,
  reader,
  readSome,
  responseOf,
  told,
  typesOf,
  upTo,
} from "./streamed-responses.ts";

let world: OutsideWorld;

beforeEach(async () => {
  world = openOutsideWorld();
  await announce([{ ...writer, tasks: ["chat-completion"] }]);
});
afterEach(() => vi.restoreAllMocks());

const dataOf = (list: readonly SseEvent[]) => list.map(({ data }) => data);

/** A text, then a call, with pieces that say nothing by themselves. */
const callPieces = [
  told(0, "I look", 0, { tokens: 2, logprobs: [token("I"), token(" look")] }),
  told(2, "", 6),
  told(3, "", 6, {
    toolCalls: [{ index: 0, id: "call_1", name: "weather", argumentsFrom: 0, arguments: "" }],
  }),
  told(4, "", 6, { toolCalls: [{ index: 0, argumentsFrom: 0, arguments: '{"city":' }] }),
] as const;

const weather = (number: number) => ({
  id: `call_${number}`,
  name: "weather",
  arguments: '{"city":"Paris"}',
});

/** A longer text and a second call come with the result alone. */
function calls(message: JobMessage) {
  return generated(message, 9, ["I look"], (text) => ({
    choices: [
      {
        text,
        finish_reason: "tool_calls",
        tokens: 9,
        logprobs: ["I", " look", "", "", "", "", "", "", ""].map((each) => token(each)),
        tool_calls: [weather(1), weather(2)],
      },
    ],
  }));
}

/** As a day after. */
async function forgetJobs(): Promise<void> {
  for (const shard of new Set(world.messages.map((message) => message.shard))) {
    const stub = shardStub(env, shard);
    await runInDurableObject(stub, (_, { storage: { sql } }) => void sql.exec("DELETE FROM jobs"));
  }
  await abortAllDurableObjects();
}

describe("a response whose events are gone", () => {
  it.each(["succeeded", "failed", "cancelled", "at once"])(
    "is told again by the same events when those are gone: %s",
    async (how) => {
      const opened = create({ background: true, stream: true });
      const message = await sent(world);
      const stream = new SseReader(await opened);
      const first = await stream.next();
      const { id } = responseOf(first?.data);
      if (how !== "at once") {
        await report(message.shard, [started(message), tokens(message, 2, [...callPieces])]);
      }
      if (how === "cancelled") await call(`${path}/${id}/cancel`);
      else await report(message.shard, [how === "failed" ? failed(message, 9) : calls(message)]);
      const rest = how === "cancelled" ? [] : await stream.rest();
      const all = [first, ...rest].flatMap((event) => event?.data ?? []);
      // Once by the shard, which forgets it after a day, then by what is kept.
      await abortAllDurableObjects();
      const again = dataOf(await (await reader(id)).rest());
      if (how === "cancelled") all.push(...again.slice(1));
      expect(again).toEqual(all);
      expect(again.map((data) => data["sequence_number"])).toEqual(upTo(again.length));
      await get(id);
      await forgetJobs();
      for (const after of [-1, 0, 4, again.length - 2, again.length - 1]) {
        const query = after < 0 ? "" : `&starting_after=${after}`;
        const later = await (await reader(id, query)).rest();
        expect(dataOf(later)).toEqual(all.slice(after + 1));
      }
    },
  );

  it("goes on where its events were, when its worker tells them to a shard that has forgotten", async () => {
    const opened = create({ background: true, stream: true });
    const message = await sent(world);
    const told2 = [started(message), tokens(message, 2, [pieces[0]])];
    await report(message.shard, told2);
    const events = await readSome(new SseReader(await opened), 6);
    expect(typesOf(events)).toEqual(queued.slice(0, 6));
    const { id } = responseOf(events[0]?.data);
    await abortAllDurableObjects();
    const [late, early] = [await reader(id, "&starting_after=5"), await reader(id)];
    await report(message.shard, [...told2, tokens(message, 3, [pieces[1]]), ends(message)]);
    const rest = await late.rest();
    expect(typesOf([...events, ...rest])).toEqual(queued);
    expect(numbersOf([...events, ...rest])).toEqual(upTo(queued.length));
    expect(dataOf(await early.rest())).toEqual(dataOf([...events, ...rest]));
  });

  it("ends where another worker begins it anew, or none does, and whoever had some is told so", async () => {
    const [first, second] = [await background(world), await background(world, {}, 1)];
    for (const { message } of [first, second]) {
      await report(message.shard, [started(message), tokens(message, 2, [pieces[0]])]);
    }
    await abortAllDurableObjects();
    const other = await reader(first.id, "&starting_after=5");
    const none = await reader(second.id, "&starting_after=5");
    await report(first.message.shard, [tokens(first.message, 20_000, [pieces[0]])]);
    await report(first.message.shard, [{ ...ends(first.message), sequence: 20_001 }]);
    const [lost, ...others] = dataOf(await other.rest());
    expect(others).toEqual([]);
    expect(lost).toMatchObject({ type: "error", code: "not_found" });
    expect(lost?.["message"]).toContain("GET");
    await report(second.message.shard, [failed(second.message, 9)]);
    expect(dataOf(await none.rest())).toMatchObject([
      { type: "response.failed", sequence_number: 6, response: { status: "failed" } },
    ]);
  });
});
