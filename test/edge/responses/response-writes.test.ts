/** What a stored response costs: statements that write, and alarms that are set, of its job and of itself. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { shardStub } from "../../../edge/jobs/shard-stub.ts";
import { SseReader } from "../../sse-reader.ts";
import { report, sent, started } from "../jobs/caller-and-worker.ts";
import { openOutsideWorld, type OutsideWorld } from "../jobs/outside-world.ts";
import { tokens, writer } from "../jobs/streams-in-tests.ts";
import { announce } from "../stand-in-worker.ts";
import { create, ends, get, pieces, responseOf, upTo } from "./streamed-responses.ts";

let world: OutsideWorld;
const writes: string[] = [];

beforeEach(async () => {
  world = openOutsideWorld();
  await announce([{ ...writer, tasks: ["chat-completion", "text-generation"] }]);
});
afterEach(() => vi.restoreAllMocks());

/** From now on what the object writes is noted. */
async function listen(stub: DurableObjectStub, place: string): Promise<void> {
  await runInDurableObject(stub, (_, { storage }) => {
    const { sql } = storage;
    const exec = sql.exec.bind(sql);
    vi.spyOn(sql, "exec").mockImplementation((text: string, ...bindings: unknown[]) => {
      const verb = /^\s*(INSERT|UPDATE|DELETE)/.exec(text)?.[1];
      const table = /(?:INTO|UPDATE|FROM)\s+(\w+)/.exec(text)?.[1];
      if (verb !== undefined) writes.push(`${place}: ${verb} ${table}`);
      return exec(text, ...bindings);
    });
    const set = storage.setAlarm.bind(storage);
    vi.spyOn(storage, "setAlarm").mockImplementation((...given) => {
      writes.push(`${place}: alarm`);
      return set(...given);
    });
  });
}

async function stream(opened: Promise<Response>, index: number) {
  const message = await sent(world, index);
  await report(message.shard, [started(message), tokens(message, 2, [pieces[0]])]);
  await report(message.shard, [tokens(message, 3, [pieces[1]]), ends(message)]);
  return new SseReader(await opened).rest();
}

it("writes so much where it is kept, and an alarm is set once for many", async () => {
  const shards = Array.from({ length: Number(env.SHARDS) }, (_, shard) => shard);
  for (const shard of shards) await listen(shardStub(env, shard), "shard");
  await listen(env.RESPONSES.getByName("operator"), "responses");
  const [first] = await stream(create({ stream: true }), 0);
  await get(responseOf(first?.data).id);
  expect(writes.filter((each) => each.endsWith("alarm")).toSorted()).toEqual([
    "responses: alarm",
    "shard: alarm",
  ]);
  expect(writes.filter((each) => !each.endsWith("alarm"))).toEqual([
    "responses: INSERT responses",
    "responses: INSERT pieces",
    "shard: INSERT computations",
    "shard: INSERT jobs",
    // Its message was sent; a worker has it.
    "shard: UPDATE computations",
    "shard: UPDATE computations",
    "shard: DELETE computations",
    "shard: UPDATE jobs",
    "responses: UPDATE responses",
    "responses: INSERT pieces",
  ]);
  writes.length = 0;
  for (const index of upTo(2)) await stream(create({ stream: true, store: false }), 1 + index);
  expect(writes.filter((each) => !each.endsWith("alarm"))).toEqual([]);
});
