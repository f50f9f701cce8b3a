/**
 * Whether the event loop is held up: the gaps of a 1 ms ticker while the embedded model computes batches on all cores,
 * through each of our runtimes, beside onnxruntime-node called the usual way and beside a loop with nothing to do; and
 * while an encoder of 110 million parameters is hashed, built, loaded and measured for the first time, in each form.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { openCatalog } from "../gpu-worker/catalog/open-catalog.ts";
import type { FormSetting } from "../gpu-worker/compute-form/form-choice.ts";
import { openRuntime } from "../gpu-worker/runtime/open-runtime.ts";
import type { ModelSource, Runtime, Session } from "../gpu-worker/runtime/session.ts";
import { int64 } from "../gpu-worker/tensor/tensor.ts";
import type { Tensor } from "../gpu-worker/tensor/tensor.ts";
import { bertBase, writeRandomEncoder } from "../test/catalog/random-encoder.ts";
import { type Bench, type BenchContext, comparedRow, plainRow, type Row } from "./bench.ts";
import { quantile } from "./harness/http-load.ts";

const model = "all-MiniLM-L6-v2";
/** Texts and tokens of one batch: about what the worker computes at once. */
const [batch, tokens] = [32, 64];
const secondsEach = 4;
const threads = availableParallelism();
const silent = { info: () => {}, warn: console.warn };

/** The last model a runtime was asked for: the graph compiled by the catalog, which the peer runs too. */
function remembering(runtime: Runtime): { runtime: Runtime; last: () => ModelSource | null } {
  let last: ModelSource | null = null;
  const load: Runtime["load"] = (source, options) => {
    last = source;
    return runtime.load(source, options);
  };
  return { runtime: { ...runtime, load }, last: () => last };
}

/** Compiles the embedded model. @returns the graph's file */
async function compile(stateFolder: string, signal: AbortSignal): Promise<ModelSource> {
  const { runtime, last } = remembering(await openRuntime({ log: silent }));
  const hub = { endpoint: "https://huggingface.co", token: null };
  const catalog = await openCatalog(
    { stateFolder, modelsFolder: null, hub, form: "f32", device: "cpu" },
    { runtime, log: silent, now: Date.now },
  );
  try {
    await catalog.acquire(model, signal);
    return last() ?? Promise.reject(new Error("the catalog loaded no graph"));
  } finally {
    await catalog.close();
  }
}

function feeds(): Record<string, Tensor> {
  const shape = [batch, tokens];
  const length = batch * tokens;
  return {
    input_ids: int64(
      shape,
      Array.from({ length }, (_, i) => 1_000 + (i % 20_000)),
    ),
    attention_mask: int64(
      shape,
      Array.from({ length }, () => 1),
    ),
    token_type_ids: int64(
      shape,
      Array.from({ length }, () => 0),
    ),
  };
}

type Gaps = { p50: number; p99: number; worst: number; runs: number };

/** Gaps in ms between the ticks of a 1 ms interval while `work` is done over and over. */
async function gapsDuring(work: () => Promise<unknown>, signal: AbortSignal): Promise<Gaps> {
  await work();
  const until = performance.now() + secondsEach * 1_000;
  const stop = watchGaps();
  let runs = 0;
  try {
    while (performance.now() < until) {
      signal.throwIfAborted();
      await work();
      runs += 1;
    }
  } finally {
    stop();
  }
  return { ...stop(), runs };
}

/** @returns what ends the watch and says what was seen */
function watchGaps(): () => Omit<Gaps, "runs"> & { peakMiB: number } {
  const gaps: number[] = [];
  let [last, peak] = [performance.now(), 0];
  const ticker = setInterval(() => {
    const now = performance.now();
    gaps.push(now - last);
    last = now;
    if (gaps.length % 10 === 0) peak = Math.max(peak, process.memoryUsage.rss());
  }, 1);
  return () => {
    clearInterval(ticker);
    const sorted = gaps.toSorted((a, b) => a - b);
    const [p50, p99] = [quantile(sorted, 0.5), quantile(sorted, 0.99)];
    return { p50, p99, worst: sorted.at(-1) ?? 0, peakMiB: peak / 2 ** 20 };
  };
}

/** A first load: nothing is kept of the model. */
async function gapsWhileBuilding(
  form: FormSetting,
  { print, signal }: BenchContext,
): Promise<Row[]> {
  const folder = mkdtempSync(path.join(tmpdir(), "llm-os-building-"));
  try {
    const modelsFolder = path.join(folder, "models");
    await writeRandomEncoder(path.join(modelsFolder, "bert-base"), bertBase);
    const runtime = await openRuntime({ log: silent });
    const hub = { endpoint: "https://huggingface.co", token: null };
    const catalog = await openCatalog(
      { stateFolder: path.join(folder, "state"), modelsFolder, hub, form, device: "cpu" },
      { runtime, log: silent, now: Date.now },
    );
    const before = process.memoryUsage.rss() / 2 ** 20;
    const startedAt = performance.now();
    const stop = watchGaps();
    await catalog.acquire("bert-base", signal);
    const { p50, p99, worst, peakMiB } = stop();
    const seconds = (performance.now() - startedAt) / 1_000;
    await catalog.close();
    const gaps = [p50, p99, worst].map((ms) => ms.toFixed(2)).join(" / ");
    const memory = `${Math.round(before)} MiB before, at most ${Math.round(peakMiB)}`;
    print(`building BERT-base in ${form}: p50 / p99 / worst ${gaps} ms, ${seconds.toFixed(1)} s`);
    print(`  memory: ${memory}; weights ${Math.round(438_000_000 / 2 ** 20)} MiB`);
    return [
      plainRow(`ticker p99, BERT-base built in ${form}`, "ms", p99),
      plainRow(`memory while BERT-base is built in ${form}, at most`, "MiB", peakMiB - before),
    ];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function during(
  only: Runtime["name"],
  source: ModelSource,
  signal: AbortSignal,
): Promise<Gaps> {
  const runtime = await openRuntime({ log: silent, only });
  const session: Session = await runtime.load(source, {
    threads,
    provider: runtime.providers[0] ?? "cpu",
  });
  const given = feeds();
  try {
    return await gapsDuring(() => session.run(given, { signal }), signal);
  } finally {
    await session.release();
  }
}

/** onnxruntime-node as its documentation has it. */
async function duringPeer(source: ModelSource, signal: AbortSignal): Promise<Gaps> {
  if (!("path" in source)) throw new Error("the compiled graph is no file");
  const session = await InferenceSession.create(source.path, { intraOpNumThreads: threads });
  const given = Object.entries(feeds()).map(([name, { dtype, data, shape }]) => {
    if (dtype !== "int64") throw new TypeError(`${name} is no int64`);
    return [name, new OrtTensor(dtype, data, shape)] as const;
  });
  const peerFeeds = Object.fromEntries(given);
  try {
    return await gapsDuring(() => session.run(peerFeeds), signal);
  } finally {
    await session.release();
  }
}

const oneTurn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));

export const bench: Bench = {
  summary: "gaps of a 1 ms ticker while a model computes, beside onnxruntime-node's own run",
  run: async (context) => {
    const { print, signal } = context;
    const building = [
      ...(await gapsWhileBuilding("f32", context)),
      ...(await gapsWhileBuilding("int8", context)),
    ];
    const stateFolder = mkdtempSync(path.join(tmpdir(), "llm-os-event-loop-"));
    try {
      const source = await compile(stateFolder, signal);
      const figures = {
        idle: await gapsDuring(oneTurn, signal),
        cApi: await during("c-api", source, signal),
        thread: await during("node-binding", source, signal),
        peer: await duringPeer(source, signal),
      };
      print(`${threads} threads, batches of ${batch} × ${tokens} tokens, ${secondsEach} s each`);
      for (const [name, { p50, p99, worst, runs }] of Object.entries(figures)) {
        const gaps = [p50, p99, worst].map((ms) => ms.toFixed(2)).join(" / ");
        print(`${name.padEnd(6)} p50 / p99 / worst ${gaps} ms, ${runs} runs`);
      }
      return [...rowsOf(figures), ...building];
    } finally {
      rmSync(stateFolder, { recursive: true });
    }
  },
};

function rowsOf({
  idle,
  cApi,
  thread,
  peer,
}: Record<"idle" | "cApi" | "thread" | "peer", Gaps>): Row[] {
  const usual = { name: "onnxruntime-node run", value: peer.p99 };
  const rows = [
    comparedRow("ticker p99, C API", "ms", cApi.p99, usual),
    comparedRow("ticker p99, Node binding in a thread", "ms", thread.p99, usual),
  ];
  return [
    ...rows.map((row) => ({ ...row, limitFraction: idle.p99 / row.ours })),
    plainRow("ticker p99, idle", "ms", idle.p99),
  ];
}
