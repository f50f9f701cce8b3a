/**
 * What every runtime promises, held against both: the C API and the Node binding in threads. The oracle is arithmetic.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeModel } from "../../gpu-worker/onnx/write-model.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { Runtime, Session } from "../../gpu-worker/runtime/session.ts";
import { arrayTypes } from "../../gpu-worker/tensor/dtype.ts";
import { float32 } from "../../gpu-worker/tensor/tensor.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";
import { arithmetic, chain, chainGraph, identity, ramp, successor } from "./models.ts";

const silent = { info: () => {}, warn: () => {} };
const cpu = { threads: 1, provider: "cpu" } as const;

/** One tensor of each element type, its extremes included. */
const samples: Tensor[] = [
  float32([2], [1.5, -Infinity]),
  { dtype: "float64", shape: [2], data: Float64Array.of(Math.PI, -1e300) },
  { dtype: "float16", shape: [2], data: Uint16Array.of(0x3c00, 0xfbff) },
  { dtype: "int8", shape: [2], data: Int8Array.of(-128, 127) },
  { dtype: "uint8", shape: [2], data: Uint8Array.of(0, 255) },
  { dtype: "int16", shape: [2], data: Int16Array.of(-32_768, 32_767) },
  { dtype: "uint16", shape: [2], data: Uint16Array.of(0, 65_535) },
  { dtype: "int32", shape: [2], data: Int32Array.of(-(2 ** 31), 2 ** 31 - 1) },
  { dtype: "uint32", shape: [2], data: Uint32Array.of(0, 2 ** 32 - 1) },
  { dtype: "int64", shape: [2], data: BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n) },
  { dtype: "uint64", shape: [2], data: BigUint64Array.of(0n, 2n ** 64n - 1n) },
  { dtype: "bool", shape: [2], data: Uint8Array.of(0, 1) },
];

describe.each(["c-api", "node-binding"] as const)("the %s runtime", (only) => {
  let runtime: Runtime;
  const open: Session[] = [];
  const folder = mkdtempSync(path.join(tmpdir(), "llm-os-runtime-"));

  const load = async (bytes: Uint8Array): Promise<Session> => {
    const session = await runtime.load({ bytes }, cpu);
    open.push(session);
    return session;
  };

  beforeAll(async () => {
    runtime = await openRuntime({ log: silent, only });
  });

  afterAll(async () => {
    await Promise.all(open.map((session) => session.release()));
    rmSync(folder, { recursive: true });
  });

  it("says which it is", () => {
    expect(runtime.name).toBe(only);
    expect(runtime.version).toMatch(/^1\.\d+\.\d+/);
    expect(runtime.providers).toEqual(["cpu"]);
    expect(runtime.describe()).toContain(runtime.version);
  });

  it("tells inputs and outputs with names, types and shapes", async () => {
    const session = await load(arithmetic());
    expect(session.inputs).toEqual([{ name: "x", dtype: "float32", shape: ["rows", 3] }]);
    expect(session.outputs).toEqual([
      { name: "double", dtype: "float32", shape: ["rows", 3] },
      { name: "sum", dtype: "float32", shape: ["rows", 3] },
    ]);
    expect(session.provider).toBe("cpu");
  });

  it("gives all outputs, or those wanted", async () => {
    const session = await load(arithmetic());
    const x = float32([2, 3], [1, 2, 3, 4, 5, 6]);
    expect(await session.run({ x })).toEqual({
      double: float32([2, 3], [2, 4, 6, 8, 10, 12]),
      sum: float32([2, 3], [2, 6, 12, 20, 30, 42]),
    });
    expect(Object.keys(await session.run({ x }, { outputs: ["sum"] }))).toEqual(["sum"]);
  });

  it.each(samples)("carries $dtype both ways", async (x) => {
    const session = await load(identity(x.dtype));
    const { y } = await session.run({ x });
    expect(y).toEqual(x);
    expect(y?.data).toBeInstanceOf(arrayTypes[x.dtype]);
  });

  it("carries single numbers, no elements, and views into larger arrays", async () => {
    const scalars = await load(successor());
    expect(await scalars.run({ x: float32([], [41]) })).toEqual({ y: float32([], [42]) });
    const session = await load(identity("float32"));
    expect(await session.run({ x: float32([0], []) })).toEqual({ y: float32([0], []) });
    const x: Tensor = {
      dtype: "float32",
      shape: [2],
      data: Float32Array.of(9, 1, 2, 9).subarray(1, 3),
    };
    expect(await session.run({ x })).toEqual({ y: float32([2], [1, 2]) });
  });

  it("gives results of their own memory", async () => {
    const session = await load(identity("float32"));
    const first = await session.run({ x: float32([2], [1, 2]) });
    await session.run({ x: float32([2], [3, 4]) });
    expect(first).toEqual({ y: float32([2], [1, 2]) });
  });

  it("reads a model file, and refuses what is none", async () => {
    const file = path.join(folder, "modèle.onnx");
    writeFileSync(file, arithmetic());
    const session = await runtime.load({ path: file }, cpu);
    expect(session.inputs.map((input) => input.name)).toEqual(["x"]);
    await session.release();
    const missing = path.join(folder, "missing.onnx");
    await expect(runtime.load({ path: missing }, cpu)).rejects.toThrow(/missing\.onnx/);
    const junk = new Uint8Array(100).fill(7);
    await expect(runtime.load({ bytes: junk }, cpu)).rejects.toMatchObject({
      name: "RuntimeError",
    });
    await expect(runtime.load({ bytes: new Uint8Array(0) }, cpu)).rejects.toMatchObject({
      name: "RuntimeError",
    });
  });

  it("finds weights in files of their own, beside the model or in a folder named", async () => {
    const file = path.join(folder, "chain.onnx");
    expect(await writeModel(chainGraph(256, 2), file)).toHaveLength(2);
    const x = ramp(4, 256);
    for (const source of [{ path: file }, { bytes: readFileSync(file), weightsFolder: folder }]) {
      const session = await runtime.load(source, cpu);
      expect(await session.run({ x })).toEqual({ y: x });
      await session.release();
    }
    const lost = { bytes: readFileSync(file), weightsFolder: path.join(folder, "elsewhere") };
    await expect(runtime.load(lost, cpu)).rejects.toMatchObject({ name: "RuntimeError" });
  });

  it("refuses feeds that do not fit, by name, and goes on", async () => {
    const session = await load(arithmetic());
    const x = float32([1, 3], [1, 2, 3]);
    const refused: [Record<string, Tensor>, RegExp][] = [
      [{}, /input x is missing/],
      [{ x, z: x }, /no input z/],
      [
        { x: { dtype: "int64", shape: [1, 3], data: new BigInt64Array(3) } },
        /x is float32, not int64/,
      ],
      [{ x: float32([3], [1, 2, 3]) }, /x has shape \[rows,3\], not \[3\]/],
      [{ x: float32([1, 2], [1, 2]) }, /not \[1,2\]/],
      [{ x: { ...x, shape: [1_000, 3] } }, /do not fill/],
      [{ x: { ...x, shape: [-1, 3] } }, /do not fill/],
    ];
    for (const [feeds, message] of refused) {
      await expect(session.run(feeds)).rejects.toThrow(message);
    }
    await expect(session.run({ x }, { outputs: ["w"] })).rejects.toThrow(/no output w/);
    expect(await session.run({ x }, { outputs: ["double"] })).toEqual({
      double: float32([1, 3], [2, 4, 6]),
    });
  });

  it("runs in the order asked for, many at a time", async () => {
    const session = await load(successor());
    const order: number[] = [];
    const runs = Array.from({ length: 50 }, async (_, i) => {
      const { y } = await session.run({ x: float32([], [i]) });
      order.push(i);
      return y?.data[0];
    });
    expect(await Promise.all(runs)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
    expect(order).toEqual(order.toSorted((a, b) => a - b));
  });

  it("keeps the event loop free while it computes", async () => {
    const session = await load(chain(512, 40));
    let turns = 0;
    const counting = setInterval(() => (turns += 1), 0);
    await session.run({ x: ramp(512, 512) });
    clearInterval(counting);
    expect(turns).toBeGreaterThan(5);
  });

  it("rejects an aborted run with the signal's reason, waiting or under way, and stays usable", async () => {
    const slow = await load(chain(384, 300));
    const half = await load(chain(384, 150));
    const short = await load(chain(384, 10));
    const x = ramp(384, 384);
    const reason = new Error("the caller left");
    const events: string[] = [];
    const note = (event: string) => (error: unknown) => {
      events.push(event);
      return error;
    };
    const underWay = new AbortController();
    const waiting = new AbortController();
    const first = slow.run({ x }, { signal: underWay.signal }).catch(note("stopped"));
    const second = slow.run({ x }, { signal: waiting.signal }).catch(note("left"));
    await short.run({ x });
    waiting.abort(reason);
    expect(await second).toBe(reason);
    underWay.abort(reason);
    const after = half.run({ x }).then(note("ran"));
    expect(await first).toBe(reason);
    await after;
    expect(events).toEqual(["left", "stopped", "ran"]);
    await expect(slow.run({ x }, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(await slow.run({ x: ramp(1, 384) })).toEqual({ y: ramp(1, 384) });
  });

  it("does not mind a signal aborted after the run", async () => {
    const session = await load(successor());
    const controller = new AbortController();
    const { signal } = controller;
    await session.run({ x: float32([], [1]) }, { signal });
    controller.abort();
    expect(await session.run({ x: float32([], [1]) })).toEqual({ y: float32([], [2]) });
  });

  it("stops loading when aborted", async () => {
    const reason = new Error("not wanted any more");
    const aborted = { ...cpu, signal: AbortSignal.abort(reason) };
    await expect(runtime.load({ bytes: successor() }, aborted)).rejects.toBe(reason);
    const controller = new AbortController();
    const loading = runtime.load({ bytes: chain(512, 50) }, { ...cpu, signal: controller.signal });
    controller.abort(reason);
    await expect(loading).rejects.toBe(reason);
  });

  it("finishes the runs asked for before it releases, then refuses", async () => {
    const session = await runtime.load({ bytes: successor() }, cpu);
    const x = float32([], [1]);
    const run = session.run({ x });
    const released = session.release();
    expect(await run).toEqual({ y: float32([], [2]) });
    await released;
    await session.release();
    await expect(session.run({ x })).rejects.toThrow(/released/);
  });

  it.each([0, 20, 5_000])(
    "takes several threads, which spin for %i µs",
    async (spinMicroseconds) => {
      const options = { threads: 2, provider: "cpu", spinMicroseconds } as const;
      const session = await runtime.load({ bytes: chain(128, 4) }, options);
      const x = ramp(64, 128);
      expect(await session.run({ x })).toEqual({ y: x });
      await session.release();
    },
  );
});
