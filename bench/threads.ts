/**
 * Whether the threads there are compute, and no more: the embedded model as the worker runs it, as many batches side by
 * side as it takes, at 1 thread, at this machine's, and at more than it has. Each in a process of its own, because a
 * process has one pool of threads. Beside the rate of f32 matrix products on as many threads, measured in the same
 * process before and after.
 */
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import path from "node:path";
import process from "node:process";
import * as z from "zod";
import { shareThreads } from "../gpu-worker/runtime/share-threads.ts";
import { type Bench, comparedRow, plainRow, type Row } from "./bench.ts";

const Measured = z.object({
  threads: z.int(),
  concurrency: z.int(),
  workers: z.int(),
  models: z.int(),
  /** 10⁹ operations a second, best of the rounds. */
  encoder: z.number(),
  products: z.number(),
  /** Threads that had a share of the work. */
  busy: z.int().nullable(),
  /** Cores that the work kept busy on average. */
  cores: z.number(),
});
type Measured = z.infer<typeof Measured>;

/** More than the machine has: there the number of threads that compute is looked at, not the rate. */
const oversubscribed = [4, 8];

async function measure(threads: number, models: number, signal: AbortSignal): Promise<Measured> {
  const script = path.join(import.meta.dirname, "harness/busy-threads.ts");
  const args = [script, String(threads), String(models)];
  // As many threads for runs as there are runs, so that each of them is one that computes.
  const runs = String(shareThreads(threads).concurrency);
  const env = { ...process.env, UV_THREADPOOL_SIZE: runs };
  const stdio = ["ignore", "pipe", "inherit"] as const;
  const child = spawn(process.execPath, args, { stdio: [...stdio], env, signal });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject).once("close", resolve);
  });
  if (code !== 0) throw new Error(`busy-threads.ts ended with ${code}`);
  return Measured.parse(JSON.parse(text));
}

function describe({ threads, concurrency, workers, models, busy, cores }: Measured): string {
  const seen = busy === null ? "not counted here" : `${busy} computed`;
  const asked = `${threads} threads, ${models} model(s): ${concurrency} runs + ${workers} workers`;
  return `${asked}, ${seen}, ${cores.toFixed(2)} cores busy`;
}

export const bench: Bench = {
  summary: "share of the GEMM limit at 1 thread and at all, and how many threads compute",
  run: async ({ print, signal }) => {
    const cores = availableParallelism();
    const rows: Row[] = [];
    for (const threads of new Set([1, cores])) {
      const measured = await measure(threads, 1, signal);
      print(describe(measured));
      const { encoder, products } = measured;
      const limit = { name: "f32 products", value: products };
      const row = comparedRow(`encoder in f32, threads=${threads}`, "GFLOP/s", encoder, limit);
      rows.push({ ...row, limitFraction: encoder / products });
    }
    for (const threads of oversubscribed.filter((count) => count > cores)) {
      for (const models of [1, 2]) {
        const measured = await measure(threads, models, signal);
        print(describe(measured));
        if (measured.busy === null) continue;
        const name = `threads that computed of ${threads}, models=${models}`;
        rows.push(plainRow(name, "threads", measured.busy));
      }
    }
    print(
      `more than ${cores} threads were checked for their number alone: there are ${cores} cores`,
    );
    return rows;
  },
};
