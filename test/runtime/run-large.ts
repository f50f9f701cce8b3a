/**
 * Run on its own, because it measures a whole process: sessions whose runs each need 80 MiB for a while, one after the
 * other. Prints one JSON line with the resident MiB before, after one of them, after all, and once the memory was given
 * back.
 */
import process from "node:process";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import { encodeProduct } from "../../gpu-worker/runtime/probe-model.ts";
import { returnRunMemory } from "../../gpu-worker/runtime/return-run-memory.ts";
import { float32 } from "../../gpu-worker/tensor/tensor.ts";

const [rows, columns, count] = [20_480, 1_024, 4];
const log = { info: () => {}, warn: console.error };
const runtime = await openRuntime({ log, only: "c-api", threads: 1 });
const weights = float32([1, columns], new Float32Array(columns).fill(1));
const bytes = await encodeProduct({ operator: "MatMul", weights, output: "shape" });
const x = float32([rows, 1], new Float32Array(rows));
const residentMiB = () => process.memoryUsage.rss() / 2 ** 20;

const load = () => runtime.load({ bytes }, { threads: "shared", provider: "cpu" });
const [first, ...others] = await Promise.all(Array.from({ length: count }, load));
const before = residentMiB();
await first?.run({ x });
const afterOne = residentMiB();
for (const session of others) await session.run({ x });
const afterAll = residentMiB();
await returnRunMemory(runtime);
console.log(JSON.stringify({ before, afterOne, afterAll, givenBack: residentMiB() }));
process.exit(0);
