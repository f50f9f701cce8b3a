/**
 * Texts to vectors: 1 024 mixed texts from 64 callers, all-MiniLM-L6-v2, beside transformers.js and Python on the same
 * weights, cores and texts, and beside what this machine's matrix products reach. Ours is measured before and after the
 * peers, so that a machine that slows down meets both.
 */
import { mkdirSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import * as z from "zod";
import { openRuntime } from "../gpu-worker/runtime/open-runtime.ts";
import { measureGemm } from "../gpu-worker/runtime/measure-gemm.ts";
import type { Runtime } from "../gpu-worker/runtime/session.ts";
import { cosine } from "../gpu-worker/tensor/vectors.ts";
import { startStack } from "../infra/local/start-stack.ts";
import { type Bench, type BenchContext, comparedRow, plainRow, type Row } from "./bench.ts";
import { mixedTexts } from "./harness/corpus.ts";
import { checkpointFolder } from "./harness/fetch-checkpoint.ts";
import { Embedder, threads } from "./harness/embedder.ts";
import { miniLmL6, operationsOf } from "./harness/encoder-operations.ts";
import { median, runLoad } from "./harness/http-load.ts";
import { exportForPeers } from "./harness/hub-export.ts";
import { peerPython, peerScript, runPeer } from "./harness/peer-process.ts";

const model = "all-MiniLM-L6-v2";
const callers = 64;
const textCount = 1_024;
const stateFolder = path.resolve(import.meta.dirname, "..", ".bench", "embeddings");

const steadyMs = () => performance.now();

type Form = "f32" | "int8";
type Figures = { rate: number; limitFraction: number; paddingEfficiency: number; first: number[] };

class OwnFigures {
  readonly #runtime: Runtime;
  readonly #modelsFolder: string;
  readonly #texts: string[];
  readonly #context: BenchContext;
  readonly rounds: Record<Form, Figures[]> = { f32: [], int8: [] };

  constructor(runtime: Runtime, modelsFolder: string, texts: string[], context: BenchContext) {
    this.#runtime = runtime;
    this.#modelsFolder = modelsFolder;
    this.#texts = texts;
    this.#context = context;
  }

  async measure(form: Form): Promise<void> {
    const { signal, print } = this.#context;
    const runtime = this.#runtime;
    const dtype = form === "f32" ? "float32" : "int8";
    const limit = await measureGemm(runtime, { dtype, threads, now: steadyMs, signal });
    const modelsFolder = this.#modelsFolder;
    const embedder = await Embedder.open(
      { runtime, stateFolder, modelsFolder, form, model },
      signal,
    );
    try {
      await embedder.embed(this.#texts.slice(0, 256), callers, signal);
      const figures = await embedder.embed(this.#texts, callers, signal);
      const operations = figures.lengths.reduce((sum, n) => sum + operationsOf(n, miniLmL6), 0);
      const reached = (operations / this.#texts.length) * figures.textsPerSecond * 1e-9;
      const tokens = figures.lengths.reduce((sum, n) => sum + n, 0) / figures.lengths.length;
      print(
        `${form}: ${figures.textsPerSecond.toFixed(0)} texts/s of ${tokens.toFixed(1)} tokens, ` +
          `${reached.toFixed(0)} of ${limit.toFixed(0)} GOP/s, ` +
          `padding efficiency ${figures.paddingEfficiency.toFixed(3)}`,
      );
      this.rounds[form].push({
        rate: figures.textsPerSecond,
        limitFraction: reached / limit,
        paddingEfficiency: figures.paddingEfficiency,
        first: [...figures.first],
      });
    } finally {
      await embedder.close();
    }
  }

  median(form: Form, of: "rate" | "limitFraction" | "paddingEfficiency"): number {
    return median(this.rounds[form].map((figures) => figures[of]));
  }
}

const TransformersJs = z.object({
  rates: z.record(z.string(), z.number()),
  first: z.array(z.number()),
});
const Python = z.object({
  batch: z.int(),
  texts_per_second: z.number(),
  first: z.array(z.number()),
});

async function measureTransformersJs(folder: string, texts: string[], signal: AbortSignal) {
  const args = [peerScript("embed-transformers-js.ts"), folder, String(threads)];
  return runPeer({ program: process.execPath, args, input: texts }, TransformersJs, signal);
}

async function measurePython(folder: string, texts: string[], context: BenchContext) {
  const python = peerPython();
  if (python === null) {
    context.print("python: not here (bench/peers/install-python.sh installs it)");
    return null;
  }
  const args = [peerScript("embed.py"), folder, String(threads)];
  return runPeer({ program: python, args, input: texts }, Python, context.signal);
}

/** The same texts and callers through the whole stack, one text a request. */
async function measureHttp(modelsFolder: string, texts: string[], signal: AbortSignal) {
  const env = { LLM_OS_MODELS: modelsFolder, LLM_OS_FORM: "f32" };
  const stack = await startStack({ env });
  try {
    const headers = {
      "content-type": "application/json",
      authorization: `Bearer ${stack.operatorKey}`,
      "cache-control": "no-store",
    };
    const load = {
      origin: stack.url,
      path: "/v1/embeddings",
      headers,
      callers,
      body: (i: number) =>
        JSON.stringify({ model, input: texts[i % texts.length], encoding_format: "base64" }),
    };
    await runLoad({ ...load, requests: 256 }, signal);
    return (await runLoad({ ...load, requests: texts.length }, signal)).requestsPerSecond;
  } finally {
    await stack.stop();
  }
}

function checkSame(name: string, ours: number[], theirs: number[]): void {
  const nearness = cosine(ours, theirs);
  if (nearness < 0.999) throw new Error(`${name} gives another vector (cosine ${nearness})`);
}

export const bench: Bench = {
  summary: "1 024 mixed texts to vectors, beside transformers.js, Python and the GEMM limit",
  run: async (context) => {
    const { print, signal } = context;
    mkdirSync(stateFolder, { recursive: true });
    const checkpoint = await checkpointFolder(model, stateFolder, context);
    const modelsFolder = path.dirname(checkpoint);
    const texts = mixedTexts(textCount);
    const runtime = await openRuntime({ log: { info: () => {}, warn: console.warn } });
    print(runtime.describe());
    const ours = new OwnFigures(runtime, modelsFolder, texts, context);
    const exported = exportForPeers(checkpoint, path.join(stateFolder, "peers", model));

    await ours.measure("f32");
    await ours.measure("int8");
    const python = await measurePython(exported, texts, context);
    await ours.measure("f32");
    const js = await measureTransformersJs(exported, texts, signal);
    for (const [batch, rate] of Object.entries(js.rates)) {
      print(`transformers.js batch ${batch}: ${rate.toFixed(0)} texts/s`);
    }
    if (python !== null) {
      print(`python batch ${python.batch}, sorted: ${python.texts_per_second.toFixed(0)} texts/s`);
    }
    await ours.measure("f32");
    await ours.measure("int8");
    const http = await measureHttp(modelsFolder, texts, signal);

    const first = ours.rounds.f32[0]?.first ?? [];
    checkSame("transformers.js", first, js.first);
    if (python !== null) checkSame("python", first, python.first);
    return rowsOf(ours, { js: js.rates, python: python?.texts_per_second ?? null, http });
  },
};

function peer(name: string, value: number) {
  return { name, value };
}

type PeerRates = { js: Record<string, number>; python: number | null; http: number };

function rowsOf(ours: OwnFigures, { js, python, http }: PeerRates): Row[] {
  const rate = ours.median("f32", "rate");
  const best = Math.max(...Object.values(js));
  return [
    comparedRow(
      "f32 vs transformers.js best",
      "texts/s",
      rate,
      peer("transformers.js best batch", best),
    ),
    comparedRow(
      "f32 vs transformers.js batch64",
      "texts/s",
      rate,
      peer("transformers.js batch 64", js["64"] ?? NaN),
    ),
    python === null
      ? plainRow("f32 vs python", "texts/s", rate)
      : comparedRow("f32 vs python", "texts/s", rate, peer("python onnxruntime, sorted", python)),
    ...(["f32", "int8"] as const).flatMap((form) => [
      {
        ...plainRow(`${form} in process`, "texts/s", ours.median(form, "rate")),
        limitFraction: ours.median(form, "limitFraction"),
      },
      plainRow(
        `${form} padding efficiency`,
        "useful/computed",
        ours.median(form, "paddingEfficiency"),
      ),
    ]),
    plainRow("f32 over HTTP", "texts/s", http),
  ];
}
