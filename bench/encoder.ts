/**
 * Requests of three tasks and mixed length on three MiniLM checkpoints, from 1, 8 and 64 callers, beside
 * transformers.js on the same checkpoints, cores and requests, and beside what this machine's matrix products reach;
 * then a short request's wait while long ones run. Ours is measured before and after the peer, so that a machine that
 * slows down meets both.
 */
import { cpSync, mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import * as z from "zod";
import { measureGemm } from "../gpu-worker/runtime/measure-gemm.ts";
import { openRuntime } from "../gpu-worker/runtime/open-runtime.ts";
import type { Runtime } from "../gpu-worker/runtime/session.ts";
import { writeMinilmWithHead } from "../test/models/minilm-with-head.ts";
import { type Bench, type BenchContext, comparedRow, plainRow, type Row } from "./bench.ts";
import { mixedTexts } from "./harness/corpus.ts";
import { miniLmL6, operationsOf } from "./harness/encoder-operations.ts";
import { checkpointFolder } from "./harness/fetch-checkpoint.ts";
import { median, quantile } from "./harness/http-load.ts";
import { exportForPeers } from "./harness/hub-export.ts";
import { peerScript, runPeer } from "./harness/peer-process.ts";
import { sendAll, ServedModels, threads } from "./harness/served-models.ts";

const stateFolder = path.resolve(import.meta.dirname, "..", ".bench", "encoder");
const requestCount = 1_024;
const callerCounts = [1, 8, 64] as const;

const encoder = "all-MiniLM-L6-v2";
const kinds = [
  { task: "feature-extraction", model: encoder },
  { task: "text-classification", model: "minilm-sentiment" },
  { task: "token-classification", model: "minilm-entities" },
] as const;

const steadyMs = () => performance.now();

type Form = "f32" | "int8";
type Request = { task: (typeof kinds)[number]["task"]; model: string; text: string };

/** The three checkpoints in f32, under one folder. */
async function writeModels(context: BenchContext): Promise<string> {
  const folder = path.join(stateFolder, "models");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const whole = await checkpointFolder(encoder, stateFolder, context);
  cpSync(whole, path.join(folder, encoder), { recursive: true });
  await writeMinilmWithHead(folder, "minilm-sentiment", "float32");
  await writeMinilmWithHead(folder, "minilm-entities", "float32");
  return folder;
}

function requestsOf(texts: readonly string[]): Request[] {
  return texts.map((text, at) => ({ ...(kinds[at % kinds.length] ?? kinds[0]), text }));
}

type Round = { callers: number; perSecond: number; limitFraction: number };

class OwnRounds {
  readonly rounds: Record<Form, Round[]> = { f32: [], int8: [] };
  readonly #runtime: Runtime;
  readonly #modelsFolder: string;
  readonly #requests: readonly Request[];

  constructor(runtime: Runtime, modelsFolder: string, requests: readonly Request[]) {
    this.#runtime = runtime;
    this.#modelsFolder = modelsFolder;
    this.#requests = requests;
  }

  async open(form: Form, signal: AbortSignal): Promise<ServedModels> {
    const settings = { runtime: this.#runtime, stateFolder, modelsFolder: this.#modelsFolder };
    const served = await ServedModels.open({ ...settings, form });
    for (const { model } of kinds) await served.load(model, signal);
    return served;
  }

  async measure(form: Form, { print, signal }: BenchContext): Promise<void> {
    const dtype = form === "f32" ? "float32" : "int8";
    const limit = await measureGemm(this.#runtime, { dtype, threads, now: steadyMs, signal });
    const served = await this.open(form, signal);
    const requests = this.#requests;
    const send = async (index: number) => {
      const { task, model, text } = requests[index] ?? { ...kinds[0], text: "" };
      const parameters = task === "token-classification" ? { stride: 0 } : { truncate: true };
      return served.answer({ task, model, input: text, parameters }, signal);
    };
    try {
      await sendAll(192, 64, send);
      for (const callers of callerCounts) {
        const { perSecond, tokens } = await sendAll(requests.length, callers, send);
        const operations = tokens.reduce((sum, n) => sum + operationsOf(n, miniLmL6), 0);
        const reached = (operations / requests.length) * perSecond * 1e-9;
        print(
          `${form}, ${callers} callers: ${perSecond.toFixed(0)} requests/s, ` +
            `${reached.toFixed(0)} of ${limit.toFixed(0)} GOP/s`,
        );
        this.rounds[form].push({ callers, perSecond, limitFraction: reached / limit });
      }
    } finally {
      await served.close();
    }
  }

  median(form: Form, callers: number, of: "perSecond" | "limitFraction"): number {
    return median(
      this.rounds[form].filter((round) => round.callers === callers).map((round) => round[of]),
    );
  }
}

const shortText = "a short one";
const longCallers = 8;
const shortRequests = 300;

/** Latencies of one caller's short requests while others' long ones keep all cores busy. */
async function shortAmongLong(ours: OwnRounds, texts: readonly string[], signal: AbortSignal) {
  const served = await ours.open("f32", signal);
  const long = texts.join(" ").slice(0, 4_000);
  const extract = (input: string) =>
    served.answer(
      { task: "feature-extraction", model: encoder, input, parameters: { truncate: true } },
      signal,
    );
  const ended = new AbortController();
  const keepBusy = async () => {
    while (!ended.signal.aborted) await extract(long);
  };
  try {
    const busy = Array.from({ length: longCallers }, keepBusy);
    await sendAll(50, 1, () => extract(shortText));
    const { latenciesMs } = await sendAll(shortRequests, 1, () => extract(shortText));
    ended.abort();
    await Promise.all(busy);
    return latenciesMs.toSorted((a, b) => a - b);
  } finally {
    ended.abort();
    await served.close();
  }
}

const Peer = z.object({ rates: z.record(z.string(), z.number()) });

async function measurePeer(
  modelsFolder: string,
  requests: readonly Request[],
  { print, signal }: BenchContext,
): Promise<Record<string, number>> {
  const exported = path.join(stateFolder, "peers");
  for (const { model } of kinds) {
    exportForPeers(path.join(modelsFolder, model), path.join(exported, model));
  }
  const args = [peerScript("encoder-transformers-js.ts"), exported, String(threads)];
  const command = { program: process.execPath, args, input: requests };
  const { rates } = await runPeer(command, Peer, signal);
  for (const [way, rate] of Object.entries(rates)) {
    print(`transformers.js ${way}: ${rate.toFixed(0)} requests/s`);
  }
  return rates;
}

function rowsOf(ours: OwnRounds, peer: Record<string, number>, shortMs: number[]): Row[] {
  const rate = (callers: number) => ours.median("f32", callers, "perSecond");
  const best = Object.entries(peer).toSorted(([, a], [, b]) => b - a)[0] ?? ["none", NaN];
  const batch64 = { name: "transformers.js batch64", value: peer["batch64"] ?? NaN };
  const [p50, p99] = [quantile(shortMs, 0.5), quantile(shortMs, 0.99)];
  return [
    comparedRow("callers=64 vs best", "req/s", rate(64), {
      name: `transformers.js ${best[0]}`,
      value: best[1],
    }),
    comparedRow("callers=64 vs batch64", "req/s", rate(64), batch64),
    ...(["f32", "int8"] as const).flatMap((form) =>
      callerCounts.map((callers) => ({
        ...plainRow(`${form} callers=${callers}`, "req/s", ours.median(form, callers, "perSecond")),
        limitFraction: ours.median(form, callers, "limitFraction"),
      })),
    ),
    plainRow("short among long p50", "ms", p50),
    plainRow("short among long p99", "ms", p99),
    plainRow("short among long p99/p50", "×", p99 / p50),
  ];
}

export const bench: Bench = {
  summary:
    "mixed tasks and lengths from 1, 8 and 64 callers, beside transformers.js and the GEMM limit",
  run: async (context) => {
    mkdirSync(stateFolder, { recursive: true });
    const modelsFolder = await writeModels(context);
    const texts = mixedTexts(requestCount);
    const requests = requestsOf(texts);
    const runtime = await openRuntime({ log: { info: () => {}, warn: console.warn } });
    context.print(runtime.describe());
    const ours = new OwnRounds(runtime, modelsFolder, requests);
    await ours.measure("f32", context);
    await ours.measure("int8", context);
    const peer = await measurePeer(modelsFolder, requests, context);
    await ours.measure("f32", context);
    await ours.measure("int8", context);
    const shortMs = await shortAmongLong(ours, texts, context.signal);
    return rowsOf(ours, peer, shortMs);
  },
};
