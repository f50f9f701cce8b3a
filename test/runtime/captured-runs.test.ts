/**
 * Runs that are bound to be captured, on the CPU: nothing is captured there, but they come on the session's own thread,
 * and go by the same calls.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { LoadedSession, Runtime } from "../../gpu-worker/runtime/session.ts";
import { float32 } from "../../gpu-worker/tensor/tensor.ts";
import { accumulator, arithmetic } from "./models.ts";

const log = { info: () => undefined, warn: () => undefined };
const width = 3;

let runtime: Runtime;
const open: LoadedSession[] = [];

async function load(bytes: Uint8Array): Promise<LoadedSession> {
  const how = { threads: 1, provider: "cpu", captures: true } as const;
  const session = await runtime.load({ bytes }, how);
  open.push(session);
  return session;
}

beforeAll(async () => {
  runtime = await openRuntime({ log, only: "c-api", threads: 1 });
});

afterAll(() => Promise.all(open.map((session) => session.release())));

async function accumulating(session: LoadedSession) {
  const [x, state] = [
    await session.allocate("float32", [width]),
    await session.allocate("float32", [width]),
  ];
  const inputs = { x, state };
  return { x, state, bound: session.bind({ inputs, outputs: { total: state }, captured: true }) };
}

describe("a session that captures", () => {
  it("repeats a run with what lies in its values by then", async () => {
    const { x, state, bound } = await accumulating(await load(accumulator()));
    for (const value of [1, 10, 100]) {
      await x.write(float32([width], [value, value, value]));
      await bound.run({});
      await bound.run({});
    }
    expect(await state.read()).toEqual(float32([width], [222, 222, 222]));
  });

  it("gives what other runs give, and says what ONNX Runtime refuses", async () => {
    const session = await load(arithmetic());
    expect(await session.run({ x: float32([1, 3], [1, 2, 3]) })).toEqual({
      double: float32([1, 3], [2, 4, 6]),
      sum: float32([1, 3], [2, 6, 12]),
    });
    const accumulates = await load(accumulator());
    const feeds = { x: float32([2], [1, 2]), state: float32([3], [1, 2, 3]) };
    await expect(accumulates.run(feeds)).rejects.toThrow(/Add/);
    feeds.state = float32([2], [1, 2]);
    expect((await accumulates.run(feeds))["total"]).toEqual(float32([2], [2, 4]));
  });

  it("captures no more than is well for its memory, and releases with runs under way", async () => {
    const session = await load(accumulator());
    const state = await session.allocate("float32", [width]);
    const bind = () =>
      session.bind({ inputs: { state }, outputs: { total: state }, captured: true });
    const bound = Array.from({ length: 128 }, bind);
    expect(bind).toThrow("128 runs are captured already");
    const x = float32([width], [1, 1, 1]);
    const runs = bound.slice(0, 4).map((each) => each.run({ x }));
    await Promise.all([...runs, session.release()]);
    await expect(session.run({ x, state: x })).rejects.toThrow("the session is released");
  });
});
