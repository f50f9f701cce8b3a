/** The same products on a GPU: skipped, with the reason, where CUDA cannot be used. */
import { describe, expect, it } from "vitest";
import { deviceProbe } from "../../gpu-worker/graphs/device-probe.ts";
import { testDevice } from "../../gpu-worker/runtime/self-test.ts";
import { float32 } from "../../gpu-worker/tensor/tensor.ts";
import { accumulator, arithmetic, chain, ramp } from "./models.ts";
import { openCuda } from "./open-cuda.ts";

const { runtime, hasCuda } = await openCuda();

describe.skipIf(!hasCuda)("CUDA", () => {
  const cuda = { threads: 1, provider: "cuda" } as const;

  it("says how much memory it has, and passes its test again", async () => {
    expect(runtime.deviceMemoryBytes).toBeGreaterThan(2 ** 30);
    await testDevice(runtime, await deviceProbe());
  });

  it("computes what the CPU does", async () => {
    const session = await runtime.load({ bytes: arithmetic() }, cuda);
    expect(session.provider).toBe("cuda");
    expect(await session.run({ x: float32([1, 3], [1, 2, 3]) })).toEqual({
      double: float32([1, 3], [2, 4, 6]),
      sum: float32([1, 3], [2, 6, 12]),
    });
    await session.release();
  });

  it("keeps to the memory that a session is given", async () => {
    const bound = { ...cuda, deviceMemoryBytes: 8 * 2 ** 20 };
    // Weights of 16 MiB.
    await expect(runtime.load({ bytes: chain(2_048, 1) }, bound)).rejects.toThrow(/memory/i);
  });

  it("updates a value in its memory, in place", async () => {
    const session = await runtime.load({ bytes: accumulator() }, cuda);
    const values = await session.allocate("float32", [2, 3]);
    const state = values.view(3, [3]);
    const bound = session.bind({ inputs: { state }, outputs: { total: state, doubled: "host" } });
    await state.write(float32([3], [1, 2, 3]));
    const x = float32([3], [1, 1, 1]);
    for (let run = 0; run < 99; run++) await bound.run({ x });
    expect(await bound.run({ x })).toEqual({ doubled: float32([3], [202, 204, 206]) });
    expect(await values.read()).toEqual(float32([2, 3], [0, 0, 0, 101, 102, 103]));
    await session.release();
    await expect(values.read()).rejects.toThrow("the value is released");
  });

  it("stops an aborted run and goes on", async () => {
    const session = await runtime.load({ bytes: chain(512, 100) }, cuda);
    const controller = new AbortController();
    const run = session.run({ x: ramp(64, 512) }, { signal: controller.signal });
    controller.abort(new Error("left"));
    await expect(run).rejects.toThrow("left");
    expect(await session.run({ x: ramp(64, 512) })).toEqual({ y: ramp(64, 512) });
    await session.release();
  });
});
