/** What a model costs while it is built and loaded: the event loop, the disk, the memory. */
import { readFileSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openCatalog } from "../../gpu-worker/catalog/open-catalog.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { Runtime } from "../../gpu-worker/runtime/session.ts";
import { type CatalogBench, never, openCatalogBench } from "./catalog-bench.ts";
import { type EncoderSize, writeRandomEncoder } from "./random-encoder.ts";

/** 27 MB. */
const small: EncoderSize = {
  hidden: 384,
  intermediate: 1_536,
  layers: 3,
  heads: 6,
  vocabulary: 3_000,
  positions: 64,
};

const log = { info: () => undefined, warn: () => undefined };
let bench: CatalogBench;

beforeEach(async () => {
  bench = await openCatalogBench();
});

afterEach(() => bench.close());

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

/**
 * @returns what ends the watch, and gives the longest turn of the event loop in milliseconds of this thread's CPU time
 */
function watchTurns(): () => number {
  let [last, longest] = [cpuMs(), 0];
  const look = () => {
    const now = cpuMs();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const ticker = setInterval(look, 0);
  return () => {
    clearInterval(ticker);
    look();
    return longest;
  };
}

describe("building a model", () => {
  it("leaves the event loop free", async () => {
    await writeRandomEncoder(bench.local("small"), small);
    const catalog = await bench.open({ form: "int8" });
    const stop = watchTurns();
    await catalog.acquire("small", never);
    // Of CPU time, so that other processes make it no longer. Rounding the weights takes a second.
    expect(stop()).toBeLessThan(100);
  });

  it("ends when nobody waits for it any more, and leaves nothing", async () => {
    await writeRandomEncoder(bench.local("small"), small);
    const catalog = await bench.open({ form: "int8" });
    const left = new AbortController();
    const reason = new Error("the caller left");
    const stop = catalog.onChange(() => {
      const working = catalog.states().find(({ id }) => id === "small")?.reason;
      if (working === "Compiling for this machine") left.abort(reason);
    });
    await expect(catalog.acquire("small", left.signal)).rejects.toBe(reason);
    stop();
    await catalog.close();
    expect(await readdir(path.join(bench.settings.stateFolder, "graphs"))).toEqual([]);
  });
});

/** Bytes that this process has asked files for. */
function bytesRead(): number {
  return Number(/rchar: (\d+)/.exec(readFileSync("/proc/self/io", "utf8"))?.[1]);
}

describe("weights", () => {
  it.each(["f32", "int8"] as const)("never go through a protobuf in %s", async (form) => {
    await writeRandomEncoder(bench.local("small"), small);
    const runtime = await openRuntime({ log, threads: 1 });
    const protobufs: number[] = [];
    const load: Runtime["load"] = async (model, options) => {
      protobufs.push("path" in model ? (await stat(model.path)).size : model.bytes.length);
      return runtime.load(model, options);
    };
    const using = { runtime: { ...runtime, load }, log, now: () => 0, pythonCommands: [] };
    const catalog = await openCatalog({ ...bench.settings, form }, using);
    await catalog.acquire("small", never);
    await catalog.close();
    // What measures the machine multiplies by a matrix of 2.4 MB; a layer of the model has 7 MB.
    expect(protobufs.length).toBeGreaterThan(form === "f32" ? 0 : 1);
    expect(Math.max(...protobufs)).toBeLessThan(3e6);
  });
});

describe("the second start", () => {
  // Elsewhere nothing tells what a process has read.
  it.runIf(process.platform === "linux")("reads neither weights nor graph again", async () => {
    await writeRandomEncoder(bench.local("small"), small);
    const { size } = await stat(path.join(bench.local("small"), "model.safetensors"));
    const first = await bench.open();
    const { digest } = await first.acquire("small", never);
    await first.close();
    const before = bytesRead();
    const second = await bench.open();
    expect((await second.acquire("small", never)).digest).toBe(digest);
    expect(bytesRead() - before).toBeLessThan(size / 2);
  });
});
