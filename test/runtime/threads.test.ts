/** How many threads compute: as many as there are to use, however many models are loaded. */
import { spawnSync } from "node:child_process";
import { cpSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { shareThreads } from "../../gpu-worker/runtime/share-threads.ts";
import { writeTinyEncoder } from "../catalog/tiny-encoder.ts";

describe("shareThreads", () => {
  it.each([1, 2, 3, 4, 5, 8, 16, 64])("uses %i threads, no more and no fewer", (threads) => {
    const { concurrency, workers } = shareThreads(threads);
    expect(concurrency).toBeGreaterThan(0);
    // Each run computes on a thread of its own, beside the workers.
    expect(concurrency + workers).toBe(threads);
  });
});

// Where else a process's threads could be counted, it is done in another way.
describe.runIf(process.platform === "linux")("a process that serves models", () => {
  let folder: string;
  const modelsIn = (count: number) => path.join(folder, `of-${count}`);

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "llm-os-threads-"));
    await writeTinyEncoder(path.join(modelsIn(1), "models", "one"));
    cpSync(modelsIn(1), modelsIn(2), { recursive: true });
    await writeTinyEncoder(path.join(modelsIn(2), "models", "two"), 1);
  });

  afterAll(() => rm(folder, { recursive: true, force: true }));

  function countIn(models: number, threads: string, through: string[] = []) {
    const script = path.join(import.meta.dirname, "count-threads.ts");
    const [command = "", ...before] = [...through, process.execPath];
    const args = [...before, script, modelsIn(models), threads];
    const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const counted: { threads: number; concurrency: number[]; total: number } = JSON.parse(stdout);
    return counted;
  }

  it("has a worker for each thread that no run has, of all models together", () => {
    const four = countIn(1, "4");
    const eight = countIn(1, "8");
    const [concurrency = 0] = eight.concurrency;
    expect(four.concurrency).toEqual([4]);
    // Four runs are the four threads; of eight, those beyond the runs are workers.
    expect(eight.total - four.total).toBe(8 - concurrency);
    const two = countIn(2, "8");
    expect(two.total).toBe(eight.total);
    expect(two.concurrency).toEqual([concurrency, concurrency]);
  });

  it("takes the cores that it may use, where nobody says how many", () => {
    expect(countIn(1, "", ["taskset", "-c", "0"])).toMatchObject({ threads: 1, concurrency: [1] });
  });
});
