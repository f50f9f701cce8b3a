/** What is measured of the machine: against products computed here, and against bounds that hold for any machine. */
import { beforeAll, describe, expect, it } from "vitest";
import { machineKey } from "../../gpu-worker/runtime/machine-key.ts";
import { measureGemm } from "../../gpu-worker/runtime/measure-gemm.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import { encodeProduct } from "../../gpu-worker/runtime/probe-model.ts";
import { probeSaturation } from "../../gpu-worker/runtime/probe-saturation.ts";
import { readMachine } from "../../gpu-worker/runtime/read-machine.ts";
import type { Runtime } from "../../gpu-worker/runtime/session.ts";
import { float32 } from "../../gpu-worker/tensor/tensor.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";

const cpu = { threads: 1, provider: "cpu" } as const;
let runtime: Runtime;

beforeAll(async () => {
  runtime = await openRuntime({ log: { info: () => {}, warn: () => {} } });
});

describe("encodeProduct", () => {
  const weights: Tensor<"int8"> = {
    dtype: "int8",
    shape: [2, 3],
    data: Int8Array.of(1, 2, 3, -4, -5, -6),
  };

  it("multiplies float32", async () => {
    const model = {
      operator: "MatMul",
      weights: float32([2, 1], [3, -1]),
      output: "value",
    } as const;
    const session = await runtime.load({ bytes: await encodeProduct(model) }, cpu);
    expect(await session.run({ x: float32([2, 2], [1, 2, 4, 0]) })).toEqual({
      y: { dtype: "float32", shape: [2, 1], data: Float32Array.of(1, 12) },
    });
    await session.release();
  });

  it("multiplies u8 by s8, or tells just the shape", async () => {
    const x: Tensor = { dtype: "uint8", shape: [1, 2], data: Uint8Array.of(10, 1) };
    for (const [output, expected] of [
      ["value", { dtype: "int32", shape: [1, 3], data: Int32Array.of(6, 15, 24) }],
      ["shape", { dtype: "int64", shape: [2], data: BigInt64Array.of(1n, 3n) }],
    ] as const) {
      const bytes = await encodeProduct({ operator: "MatMulInteger", weights, output });
      const session = await runtime.load({ bytes }, cpu);
      expect(await session.run({ x })).toEqual({ y: expected });
      await session.release();
    }
  });
});

describe("probeSaturation", () => {
  it("agrees with the CPU's flags: VNNI does not saturate, AVX2 without it does", async () => {
    const { cpuFlags, arch } = readMachine();
    const vnni = cpuFlags.some((flag) => /vnni/.test(flag));
    const saturates = await probeSaturation(runtime);
    if (vnni) expect(saturates).toBe(false);
    else if (arch === "x64" && cpuFlags.includes("avx2")) expect(saturates).toBe(true);
    else expect(saturates).toBeTypeOf("boolean");
  });
});

describe("measureGemm", () => {
  const small = { rows: 64, weights: [[64, 128]], repeats: 2, threads: 1 } as const;

  it.each(["float32", "int8"] as const)(
    "counts operations by the clock given, in %s",
    async (dtype) => {
      // The clock steps 1 ms between two looks at it: 2 · 64 · 64 · 128 operations take 1 ms.
      let ticks = 0;
      const speed = await measureGemm(runtime, { ...small, dtype, now: () => ticks++ });
      expect(speed).toBeCloseTo((2 * 64 * 64 * 128) / 1e-3 / 1e9, 6);
    },
  );

  it("stops when aborted", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    const measuring = measureGemm(runtime, { ...small, dtype: "int8", now: () => 0, signal });
    await expect(measuring).rejects.toThrow("enough");
  });
});

describe("machineKey", () => {
  const machine = {
    arch: "x64",
    cpuModel: "AMD EPYC 9R14 (Genoa)",
    cores: 2,
    cpuFlags: ["avx2", "fpu"],
  };

  it("is the file's name of what computes alike", () => {
    expect(machineKey(machine)).toMatch(/^x64-amd-epyc-9r14-genoa-2cores-[0-9a-f]{8}$/);
    expect(machineKey({ ...machine, cpuFlags: ["fpu", "avx2", "nx"] })).toBe(machineKey(machine));
  });

  it("differs where the instructions or the cores do", () => {
    const others = [
      { ...machine, cpuFlags: ["avx2", "avx512_vnni"] },
      { ...machine, cores: 4 },
      { ...machine, cpuModel: "" },
    ];
    expect(new Set([machine, ...others].map(machineKey)).size).toBe(4);
  });

  it("can be made of this machine", () => {
    expect(machineKey(readMachine())).toMatch(/^[a-z0-9-]+$/);
  });
});
