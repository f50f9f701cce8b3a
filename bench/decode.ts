/**
 * Tokens a second of SmolLM2-135M-Instruct from its Q4_1 file, in the form the worker chooses here: from 1, 4, 8 and 16
 * streams at a context of 32 and of 400, and the reading of a prompt of 512, beside llama.cpp on the same file (and on
 * one of its fastest form, Q4_0, for speed alone) and beside transformers.js on an export of ours; the pace of streams
 * while another reads its prompt; what longer contexts cost; all of it beside what memory and matrix products reach
 * here. Ours is measured before and after the peers, so that a machine that slows down meets both.
 */
import { mkdirSync, rmSync, symlinkSync } from "node:fs";
import { existsSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { setTimeout } from "node:timers/promises";
import * as z from "zod";
import { decoderGraphBytes } from "../gpu-worker/graphs/graph-bytes.ts";
import { measureGemm } from "../gpu-worker/runtime/measure-gemm.ts";
import { openRuntime } from "../gpu-worker/runtime/open-runtime.ts";
import type { Runtime } from "../gpu-worker/runtime/session.ts";
import { type Bench, type BenchContext, comparedRow, plainRow, type Row } from "./bench.ts";
import { sharedFolder } from "./harness/corpus.ts";
import { DecodeStreams, gapsWithin, steadyOf, type StreamTimes } from "./harness/decode-streams.ts";
import { exportDecoder } from "./harness/decoder-export.ts";
import { median, quantile } from "./harness/http-load.ts";
import { type LlamaFigures, measureLlama } from "./harness/llama-cpp.ts";
import { peerScript, runPeer } from "./harness/peer-process.ts";
import { randomFrom } from "../contract/random.ts";
import { ServedModels, threads } from "./harness/served-models.ts";

const stateFolder = path.resolve(import.meta.dirname, "..", ".bench", "decode");
const id = "SmolLM2-135M-Instruct";
const gguf = path.join(sharedFolder, "models", id, `${id}.Q4_1.gguf`);
const streamCounts = [1, 4, 8, 16] as const;
const contexts = [32, 400] as const;
const newTokens = 64;
const promptTokens = 512;
/** Of SmolLM2-135M: every weight takes part in each token, the tied embedding as the output layer. */
const weightCount = 134_515_008;
/** Of keys and values in f32: 30 layers, 3 heads of 64. */
const bytesPerTokenHeld = 2 * 30 * 3 * 64 * 4;

const now = () => performance.now();

const keyOf = (streams: number, context: number) => `streams=${streams} context=${context}`;

class OwnRounds {
  readonly #rates = new Map<string, number[]>();
  readonly #streams: DecodeStreams;

  constructor(streams: DecodeStreams) {
    this.#streams = streams;
  }

  async measure({ print }: BenchContext): Promise<void> {
    for (const context of contexts) {
      for (const streams of streamCounts) {
        const { tokensPerSecond } = await this.#streams.steady(streams, context, newTokens);
        print(`ours, ${keyOf(streams, context)}: ${tokensPerSecond.toFixed(0)} tokens/s`);
        this.#note(keyOf(streams, context), tokensPerSecond);
      }
    }
    const seconds = (await this.#streams.firstToken(promptTokens)) / 1_000;
    print(`ours, prompt of ${promptTokens}: ${(promptTokens / seconds).toFixed(0)} tokens/s`);
    this.#note("prompt", promptTokens / seconds);
  }

  rate(key: string): number {
    return median(this.#rates.get(key) ?? []);
  }

  #note(key: string, rate: number): void {
    this.#rates.set(key, [...(this.#rates.get(key) ?? []), rate]);
  }
}

const TransformersFigures = z.object({ callers: z.number(), batch: z.number() });
const transformersCallers = 8;

async function measureTransformers({ print, signal }: BenchContext) {
  const folder = await exportDecoder(gguf, path.join(stateFolder, "peers", id), 1_024);
  const random = randomFrom(2);
  const prompts = Array.from({ length: transformersCallers }, () =>
    Array.from({ length: contexts[0] }, () => Math.floor(random() * 49_152)),
  );
  const args = [peerScript("decode-transformers-js.ts"), folder, String(threads)];
  const command = { program: process.execPath, args, input: { prompts, newTokens } };
  const figures = await runPeer(command, TransformersFigures, signal);
  print(`transformers.js, ${transformersCallers} callers: ${figures.callers.toFixed(0)} tokens/s`);
  print(`transformers.js, one batch of them: ${figures.batch.toFixed(0)} tokens/s`);
  return figures;
}

/** Between two prompts, while streams are alone. */
const quietMs = 1_500;
const promptsBeside = 4;

type Span = readonly [from: number, to: number];

async function spanOf(work: () => Promise<unknown>): Promise<Span> {
  const from = now();
  await work();
  return [from, now()];
}

/** Ascending. */
function gapsDuring(times: readonly StreamTimes[], spans: readonly Span[]): number[] {
  return spans
    .flatMap(([from, to]) => times.flatMap(({ tokensAt }) => gapsWithin(tokensAt, from, to)))
    .toSorted((a, b) => a - b);
}

/**
 * The pace of streams, alone and while another reads a long prompt, in turns, so that a machine that slows down meets
 * both; and how long that one waits, beside what it waits before and after them.
 */
async function pace(streams: DecodeStreams, count: number): Promise<Row[]> {
  const readPrompt = () => streams.firstToken(promptTokens);
  const alone = [await readPrompt(), await readPrompt()];
  const ended = new AbortController();
  const running = Array.from({ length: count }, () =>
    streams.stream(contexts[0], 32 * newTokens, ended.signal),
  );
  await streams.firstToken(contexts[0]);
  const quiet: Span[] = [];
  const disturbed: Span[] = [];
  const waits: number[] = [];
  for (let round = 0; round < promptsBeside; round += 1) {
    quiet.push(await spanOf(() => setTimeout(quietMs)));
    disturbed.push(await spanOf(async () => waits.push(await readPrompt())));
  }
  ended.abort();
  const times = await Promise.all(running);
  alone.push(await readPrompt(), await readPrompt());
  const [gaps, gapsBeside] = [gapsDuring(times, quiet), gapsDuring(times, disturbed)];
  const [p99, p99Beside] = [quantile(gaps, 0.99), quantile(gapsBeside, 0.99)];
  return [
    plainRow(`${count} streams, between tokens p50`, "ms", quantile(gaps, 0.5)),
    plainRow(`${count} streams, between tokens p99`, "ms", p99),
    plainRow(`${count} streams beside a prompt, p50`, "ms", quantile(gapsBeside, 0.5)),
    plainRow(`${count} streams beside a prompt, p99`, "ms", p99Beside),
    plainRow(`${count} streams, p99 beside a prompt / alone`, "×", p99Beside / p99),
    plainRow(`first token beside ${count} streams / alone`, "×", median(waits) / median(alone)),
  ];
}

/** Milliseconds a token of one stream at growing contexts. */
async function contextCost(streams: DecodeStreams): Promise<Row[]> {
  const rows: Row[] = [];
  for (const context of [32, 500, 1_000, 2_000]) {
    const { gapsMs } = steadyOf([await streams.stream(context, 33)]);
    rows.push(plainRow(`a token at context ${context}`, "ms", quantile(gapsMs, 0.5)));
  }
  return rows;
}

type Limits = { readonly productsPerSecond: number; readonly weightBytesPerSecond: number };

/** Bytes a second of one pass over memory past every cache, by all threads: the weights of a product of one row. */
async function measureLimits(runtime: Runtime, signal: AbortSignal): Promise<Limits> {
  const int8 = await measureGemm(runtime, { dtype: "int8", threads, now, signal });
  const [inner, columns] = [4_096, 32_768];
  const one = { dtype: "float32" as const, threads, now, signal, rows: 1, repeats: 5 };
  const row = await measureGemm(runtime, { ...one, weights: [[inner, columns]] });
  // A product of one row does two operations for the four bytes of each weight.
  return { productsPerSecond: int8 * 1e9, weightBytesPerSecond: 2 * row * 1e9 };
}

/** Which share of the nearer limit: every step reads all weights, and every token multiplies by all of them. */
function fractionOf(limits: Limits, tokensPerSecond: number, rows: number, bytes: number): number {
  const products = (2 * weightCount * tokensPerSecond) / limits.productsPerSecond;
  const memory = (bytes * tokensPerSecond) / rows / limits.weightBytesPerSecond;
  return Math.max(products, memory);
}

type Measured = {
  ours: OwnRounds;
  llama: Record<"Q4_1" | "Q4_0", LlamaFigures>;
  limits: Limits;
  bytes: number;
};

function peerRows({ ours, llama, limits, bytes }: Measured): Row[] {
  return (["Q4_1", "Q4_0"] as const).flatMap((form) => {
    const name = `llama.cpp ${form}`;
    const decodes = contexts.flatMap((context) =>
      streamCounts.map((streams) => {
        const key = keyOf(streams, context);
        const rate = ours.rate(key);
        const peer = { name, value: llama[form].decode[key] ?? Number.NaN };
        const limitFraction = fractionOf(limits, rate, streams, bytes);
        return { ...comparedRow(key, "tokens/s", rate, peer), limitFraction };
      }),
    );
    const rate = ours.rate("prompt");
    const peer = { name, value: llama[form].prefill };
    const limitFraction = fractionOf(limits, rate, promptTokens, bytes);
    const prompt = comparedRow(`prompt of ${promptTokens}`, "tokens/s", rate, peer);
    return [...decodes, { ...prompt, limitFraction }];
  });
}

const Memory = z.object({
  node: z.number(),
  empty: z.number(),
  full: z.number(),
  tokens: z.number(),
  peak: z.number(),
});

const mebibytes = (bytes: number) => bytes / 2 ** 20;

/** In a process of its own: what the model keeps with empty slots, and with full ones. */
async function memoryRows(modelsFolder: string, signal: AbortSignal): Promise<Row[]> {
  const script = path.join(import.meta.dirname, "harness", "decoder-memory.ts");
  const args = ["--expose-gc", script, stateFolder, modelsFolder, id];
  const command = { program: process.execPath, args, input: null };
  const { node, empty, full, tokens, peak } = await runPeer(command, Memory, signal);
  return [
    plainRow("memory above Node's, slots empty", "MiB", mebibytes(empty - node)),
    plainRow(`memory more than that, ${tokens} tokens held`, "MiB", mebibytes(full - empty)),
    plainRow(
      "the same without keys and values",
      "MiB",
      mebibytes(full - empty - tokens * bytesPerTokenHeld),
    ),
    plainRow("memory at most", "MiB", mebibytes(peak)),
  ];
}

async function openDecoder(runtime: Runtime, signal: AbortSignal) {
  const modelsFolder = path.join(stateFolder, "models");
  rmSync(modelsFolder, { recursive: true, force: true });
  mkdirSync(modelsFolder, { recursive: true });
  symlinkSync(path.dirname(gguf), path.join(modelsFolder, id));
  const served = await ServedModels.open({ runtime, stateFolder, modelsFolder, form: "auto" });
  return { served, modelsFolder, model: await served.loadDecoder(id, signal) };
}

export const bench: Bench = {
  summary:
    "tokens a second of a decoder, beside llama.cpp, transformers.js and the machine's limits",
  run: async (context) => {
    const { print, signal } = context;
    if (!existsSync(gguf)) throw new Error(`needs ${path.relative(process.cwd(), gguf)}`);
    mkdirSync(stateFolder, { recursive: true });
    const runtime = await openRuntime({ log: { info: () => {}, warn: console.warn } });
    print(runtime.describe());
    const limits = await measureLimits(runtime, signal);
    const { served, modelsFolder, model } = await openDecoder(runtime, signal);
    const bytes = decoderGraphBytes(weightCount, model.form);
    print(`form ${model.form}, ${mebibytes(bytes).toFixed(0)} MiB of weights`);
    const streams = new DecodeStreams(model, signal);
    const ours = new OwnRounds(streams);
    await streams.steady(4, contexts[0], 16);
    await ours.measure(context);
    const llama = {
      Q4_1: await measureLlama("Q4_1", { gguf, streamCounts, contexts, promptTokens }, context),
      Q4_0: await measureLlama("Q4_0", { gguf, streamCounts, contexts, promptTokens }, context),
    };
    const transformers = await measureTransformers(context);
    await ours.measure(context);
    const rows = [
      ...peerRows({ ours, llama, limits, bytes }),
      comparedRow(
        `${transformersCallers} callers`,
        "tokens/s",
        ours.rate(keyOf(transformersCallers, contexts[0])),
        { name: "transformers.js f32", value: transformers.callers },
      ),
      ...(await pace(streams, 8)),
      ...(await pace(streams, 16)),
      ...(await contextCost(streams)),
    ];
    await served.close();
    return [...rows, ...(await memoryRows(modelsFolder, signal))];
  },
};
