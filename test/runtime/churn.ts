/**
 * Run as `node --expose-gc churn.ts RUNTIME`, on its own, because it measures a whole process and may crash it: a
 * collector that runs all the time, feeds that nobody else holds, sessions that come and go, aborts whose rejections
 * are looked at late. Prints one JSON line with what it saw.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { Runtime, Session } from "../../gpu-worker/runtime/session.ts";
import { float32 } from "../../gpu-worker/tensor/tensor.ts";
import { arithmetic, chain } from "./models.ts";

const cpu = { threads: 1, provider: "cpu" } as const;
const collect = globalThis.gc ?? assert.fail("start it with --expose-gc");
const MiB = 1024 * 1024;

/** 16 MiB of weights. */
const heavy = chain(2048, 1);

/**
 * Bytes that stay with the process, per session loaded, run and released. Between the least of each half: what the
 * allocator keeps for a while comes and goes, what is leaked stays.
 */
async function sessionsThatComeAndGo(runtime: Runtime, rounds: number): Promise<number> {
  const once = async (): Promise<void> => {
    const session = await runtime.load({ bytes: heavy }, cpu);
    await session.run({ x: float32([1, 2048], new Float32Array(2048)) });
    await session.release();
    collect();
  };
  for (let i = 0; i < 5; i++) await once();
  const leastOf = async (count: number): Promise<number> => {
    let least = Infinity;
    for (let i = 0; i < count; i++) {
      await once();
      least = Math.min(least, process.memoryUsage.rss());
    }
    return least;
  };
  const before = await leastOf(rounds);
  return ((await leastOf(rounds)) - before) / rounds;
}

/** Feeds of `count` rows that nobody holds but the runtime, with garbage made and collected meanwhile. */
async function runUnheld(session: Session, count: number): Promise<void> {
  const rows = 1 + (count % 40);
  const run = session.run({ x: float32([rows, 3], new Float32Array(rows * 3).fill(count)) });
  const garbage = Array.from({ length: 20 }, () => new Float32Array(rows * 3).fill(-1));
  collect();
  const { double, sum } = await run;
  assert.equal(garbage.length, 20);
  assert.deepEqual(double, float32([rows, 3], new Float32Array(rows * 3).fill(2 * count)));
  assert.equal(sum?.data[0], count + count * count);
}

async function concurrentSessions(runtime: Runtime): Promise<void> {
  const sessions = await Promise.all(
    [1, 2, 3].map(() => runtime.load({ bytes: arithmetic() }, cpu)),
  );
  const runs = Array.from({ length: 90 }, (_, i) => {
    const session = sessions[i % sessions.length];
    return session === undefined ? Promise.resolve() : runUnheld(session, i);
  });
  await Promise.all(runs);
  await Promise.all(sessions.map((session) => session.release()));
}

/** @returns how many of the runs were aborted */
async function abortsSeenLate(runtime: Runtime): Promise<number> {
  const session = await runtime.load({ bytes: chain(256, 8) }, cpu);
  const x = float32([64, 256], new Float32Array(64 * 256).fill(3));
  let aborted = 0;
  for (let i = 0; i < 30; i++) {
    const controller = new AbortController();
    const runs = [session.run({ x }, { signal: controller.signal }), session.run({ x })];
    setImmediate(() => controller.abort());
    const [stopped, finished] = await Promise.allSettled(runs);
    if (stopped?.status === "rejected") aborted += 1;
    assert.ok(finished?.status === "fulfilled");
    assert.deepEqual(finished.value["y"], x);
  }
  await session.release();
  return aborted;
}

const runtime = await openRuntime({
  log: { info: () => {}, warn: () => {} },
  only: process.argv[2] === "c-api" ? "c-api" : "node-binding",
});
await concurrentSessions(runtime);
const aborted = await abortsSeenLate(runtime);
const keptPerSession = await sessionsThatComeAndGo(runtime, 20);
console.log(JSON.stringify({ aborted, keptMiBPerSession: keptPerSession / MiB }));
