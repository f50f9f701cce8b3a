/**
 * What this machine can do at most, in the units that the other benchmarks are held against: matrix products through
 * the same runtime, and copies of memory. Best of several, because other processes only ever make it slower.
 */
import { availableParallelism } from "node:os";
import { readMachine } from "../gpu-worker/runtime/read-machine.ts";
import { measureGemm } from "../gpu-worker/runtime/measure-gemm.ts";
import { openRuntime } from "../gpu-worker/runtime/open-runtime.ts";
import { probeSaturation } from "../gpu-worker/runtime/probe-saturation.ts";
import { type Bench, plainRow, type Row } from "./bench.ts";

const now = () => performance.now();
/** Past every cache. */
const copiedMiB = 256;

/** GiB/s of one thread, what is read and what is written counted once. */
function measureCopy(): number {
  const from = new Uint8Array(copiedMiB * 1024 * 1024).fill(1);
  const to = new Uint8Array(from.length);
  let best = Infinity;
  for (let i = 0; i < 5; i++) {
    const start = now();
    to.set(from);
    best = Math.min(best, now() - start);
  }
  return copiedMiB / 1024 / (best / 1_000);
}

export const bench: Bench = {
  summary: "what this machine reaches at most: matrix products in f32 and int8, copies of memory",
  run: async ({ print, signal }) => {
    const machine = readMachine();
    const runtime = await openRuntime({ log: { info: () => {}, warn: console.warn } });
    const saturates = await probeSaturation(runtime);
    print(`${machine.cpuModel}, ${machine.cores} cores, ${machine.arch}; ${runtime.describe()}`);
    print(saturates ? "u8 × s8 saturates: int8 weights need 7 bits" : "u8 × s8 is exact");
    const rows: Row[] = [];
    for (const threads of new Set([1, availableParallelism()])) {
      const options = { threads, now, signal };
      const f32 = await measureGemm(runtime, { ...options, dtype: "float32" });
      const int8 = await measureGemm(runtime, { ...options, dtype: "int8" });
      rows.push(plainRow(`f32 products, threads=${threads}`, "GFLOP/s", f32));
      rows.push(plainRow(`int8 products, threads=${threads}`, "GOP/s", int8));
    }
    return [...rows, plainRow("copy of memory, threads=1", "GiB/s", measureCopy())];
  },
};
