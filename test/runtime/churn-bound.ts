/**
 * Run as `node --expose-gc churn-bound.ts`, on its own, because it measures a whole process: bound sessions that run
 * and come and go, values that are allocated and released. Prints one JSON line with the resident MiB that stay.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { LoadedSession } from "../../gpu-worker/runtime/session.ts";
import { float32 } from "../../gpu-worker/tensor/tensor.ts";
import { accumulator } from "./models.ts";

const collect = globalThis.gc ?? assert.fail("start it with --expose-gc");
const width = 2 ** 14;
const ones = () => float32([width], new Float32Array(width).fill(1));

function residentMiB(): number {
  collect();
  return process.memoryUsage.rss() / 2 ** 20;
}

/** Runs of 64 KiB in and out, with feeds that nobody else holds. */
async function runs(session: LoadedSession, count: number): Promise<void> {
  const state = await session.allocate("float32", [width]);
  const bound = session.bind({ inputs: { state }, outputs: { total: state, doubled: "host" } });
  for (let run = 1; run <= count; run++) {
    const running = bound.run({ x: ones() });
    if (run % 10 === 0) collect();
    const { doubled } = await running;
    assert.equal(doubled?.data[width - 1], 2 * run);
  }
  await bound.release();
  await state.release();
}

const large = float32([512, width], new Float32Array(512 * width).fill(1));

const small = float32([128, width], new Float32Array(128 * width).fill(1));

/** Each binding with a run, and values of 8 MiB, of which every page is written. */
async function comeAndGo(session: LoadedSession, count: number): Promise<void> {
  for (let round = 0; round < count; round++) {
    const values = await session.allocate("float32", [128, width]);
    await values.write(small);
    const state = values.view(width * (round % 128), [width]);
    const bound = session.bind({ inputs: { state }, outputs: { total: state } });
    await bound.run({ x: ones() });
    if (round % 10 === 0) collect();
    await bound.release();
    await values.release();
  }
}

const log = { info: () => {}, warn: console.error };
const runtime = await openRuntime({ log, only: "c-api", threads: 2 });
const session = await runtime.load(
  { bytes: accumulator() },
  { threads: "shared", provider: "cpu" },
);
await runs(session, 500);
await comeAndGo(session, 20);
const before = residentMiB();
await runs(session, 2_000);
const afterRuns = residentMiB();
await comeAndGo(session, 200);
const afterRounds = residentMiB();
const held = await session.allocate("float32", [512, width]);
const unwritten = residentMiB();
await held.write(large);
const holding = residentMiB();
await held.discard();
const discarded = residentMiB();
await held.write(large);
await held.release();
const released = residentMiB();
await (await session.allocate("float32", [512, width])).write(large);
await session.release();
const closed = residentMiB();
const rounds = { before, afterRuns, afterRounds };
console.log(JSON.stringify({ ...rounds, unwritten, holding, discarded, released, closed }));
process.exit(0);
