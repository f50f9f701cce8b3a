/**
 * SmolLM2-135M-Instruct, whose file has 4-bit matrices and an 8-bit table of words, in the forms that a CPU is fast in,
 * against itself in f32 (smollm2.test.ts has that beside PyTorch): the four chats with their greedy tokens, the long
 * text, and what it writes itself, of which the figures are that it ships with. Each form is built once.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { buildDecoder } from "../../gpu-worker/architectures/decoder.ts";
import type { DecoderOptions } from "../../gpu-worker/architectures/causal-transformer.ts";
import { measureReach } from "../../gpu-worker/architectures/kept-reach.ts";
import type { LayerReach } from "../../gpu-worker/architectures/kept-reach.ts";
import {
  decoderTokenizerFiles,
  readDecoderCheckpoint,
} from "../../gpu-worker/checkpoints/decoder-checkpoint.ts";
import {
  type DecoderFigures,
  isAccurateDecoder,
  measureDecoders,
  shippedFigures,
} from "../../gpu-worker/compute-form/decoder-accuracy.ts";
import { decoderSamples } from "../../gpu-worker/compute-form/decoder-samples.ts";
import { sha256OfFile } from "../../gpu-worker/files/file-digest.ts";
import { wholeText } from "../../gpu-worker/model/decoder-feeds.ts";
import { writeModel } from "../../gpu-worker/onnx/write-model.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { Runtime, Session } from "../../gpu-worker/runtime/session.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";
import { makeTokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";
import { openGgufCheckpoint } from "../../gpu-worker/weights/gguf-checkpoint.ts";
import { never } from "../catalog/catalog-bench.ts";
import { sharedFolder } from "../catalog/shared-folder.ts";
import { machineSaturates } from "./machine-saturates.ts";

const models = path.join(sharedFolder ?? "", "models");
const folder = path.join(models, "SmolLM2-135M-Instruct");
const file = path.join(folder, "SmolLM2-135M-Instruct.Q4_1.gguf");
const here = sharedFolder !== null && existsSync(file);
if (!here) console.info("Skipped: SmolLM2 in ../shared/models, which is not on this machine");

const Ids = z.array(z.int());
const Chats = z.array(z.object({ input_ids: Ids, greedy_ids: Ids }));

function readReference(name: string): unknown {
  return JSON.parse(readFileSync(path.join(models, "references", name), "utf8"));
}

function referenceTexts(): number[][] {
  const chats = Chats.parse(readReference("smollm2-logits.json"));
  const long = z.object({ input_ids: Ids }).parse(readReference("smollm2-long.json"));
  const whole = chats.map((chat) => [...chat.input_ids, ...chat.greedy_ids]);
  return [...whole, long.input_ids];
}

const forms = ["int8", "int8-rotated", "int4"] as const;
const texts = here ? referenceTexts() : [];
const scratch = mkdtempSync(path.join(tmpdir(), "llm-os-smollm2-forms-"));
let runtime: Runtime;

async function open(options: DecoderOptions): Promise<Session> {
  const { config, weights } = openGgufCheckpoint(file);
  const graph = path.join(mkdtempSync(path.join(scratch, "form-")), "model.onnx");
  await writeModel(buildDecoder(config, weights, { positions: 1_024, ...options }), graph);
  weights.close();
  return runtime.load({ path: graph }, { threads: 2, provider: "cpu" });
}

async function logitsOf(session: Session, ids: readonly number[]): Promise<Float32Array[]> {
  const { logits } = await session.run(wholeText(session, ids), { outputs: ["logits"] });
  if (logits?.dtype !== "float32") throw new TypeError("a decoder gives logits");
  const { data } = logits;
  const width = data.length / ids.length;
  return ids.map((_, at) => data.subarray(at * width, (at + 1) * width));
}

/** Of two chats alone, so that the others are new to it. */
async function reachOfSome(session: Session): Promise<LayerReach[]> {
  const seen: Record<string, Tensor>[] = [];
  for (const ids of texts.slice(0, 2)) seen.push(await session.run(wholeText(session, ids)));
  return measureReach(seen);
}

// Loops, because there are 23 million numbers in each form.

type Distribution = { readonly first: number; readonly normaliser: number };

/** The likeliest token, and what log probabilities are less than logits by. */
function describeRow(logits: Float32Array): Distribution {
  let first = 0;
  for (let at = 1; at < logits.length; at += 1) {
    if ((logits[at] ?? NaN) > (logits[first] ?? NaN)) first = at;
  }
  const most = logits[first] ?? NaN;
  let total = 0;
  for (let at = 0; at < logits.length; at += 1) total += Math.exp((logits[at] ?? NaN) - most);
  return { first, normaliser: most + Math.log(total) };
}

type Exact = {
  readonly first: number;
  readonly probabilities: Float32Array;
  /** Sum of the probabilities, 1 but for their rounding, and of each times its logarithm. */
  readonly mass: number;
  readonly negentropy: number;
  readonly next: number;
};

function exactRow(logits: Float32Array, next: number | undefined): Exact {
  const { first, normaliser } = describeRow(logits);
  const probabilities = new Float32Array(logits.length);
  let [mass, negentropy] = [0, 0];
  for (let at = 0; at < logits.length; at += 1) {
    const own = (logits[at] ?? NaN) - normaliser;
    probabilities[at] = Math.exp(own);
    mass += probabilities[at] ?? NaN;
    negentropy += (probabilities[at] ?? NaN) * own;
  }
  const followed = next === undefined ? NaN : (logits[next] ?? NaN) - normaliser;
  return { first, probabilities, mass, negentropy, next: followed };
}

function dot(one: Float32Array, other: Float32Array): number {
  let sum = 0;
  for (let at = 0; at < one.length; at += 1) sum += (one[at] ?? NaN) * (other[at] ?? NaN);
  return sum;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

async function readExactly(session: Session): Promise<Exact[][]> {
  const all: Exact[][] = [];
  for (const ids of texts) {
    const rows = await logitsOf(session, ids);
    all.push(rows.map((row, at) => exactRow(row, ids[at + 1])));
  }
  return all;
}

/** Means over all tokens: of the divergence, of what the text's next token differs by, of equal likeliest tokens. */
async function compare(wanted: readonly Exact[][], session: Session) {
  const divergences: number[] = [];
  const shifts: number[] = [];
  const agreements: number[] = [];
  for (const [text, ids] of texts.entries()) {
    for (const [at, row] of (await logitsOf(session, ids)).entries()) {
      const exact = wanted[text]?.[at];
      if (exact === undefined) throw new Error("a token that was not read before");
      const { first, normaliser } = describeRow(row);
      const cross = dot(exact.probabilities, row) - exact.mass * normaliser;
      divergences.push(exact.negentropy - cross);
      agreements.push(first === exact.first ? 1 : 0);
      const next = ids[at + 1];
      if (next !== undefined) shifts.push(Math.abs(exact.next - ((row[next] ?? NaN) - normaliser)));
    }
  }
  return {
    divergence: mean(divergences),
    logprob: mean(shifts),
    agreement: mean(agreements),
  };
}

type Measured = { readonly figures: readonly DecoderFigures[]; readonly places: number };

/** Of the form at `at`. */
function meanOver(measured: readonly Measured[], at: number): DecoderFigures {
  const places = measured.reduce((sum, each) => sum + each.places, 0);
  const meanOf = (figure: keyof DecoderFigures) =>
    measured.reduce((sum, each) => sum + (each.figures[at]?.[figure] ?? NaN) * each.places, 0) /
    places;
  return {
    divergence: meanOf("divergence"),
    logprobShift: meanOf("logprobShift"),
    agreement: meanOf("agreement"),
  };
}

function near(figures: DecoderFigures | undefined) {
  return {
    divergence: expect.closeTo(figures?.divergence ?? NaN, 3),
    logprobShift: expect.closeTo(figures?.logprobShift ?? NaN, 2),
    agreement: expect.closeTo(figures?.agreement ?? NaN, 1),
  };
}

describe.skipIf(!here)("SmolLM2", () => {
  let exact: Session;
  let int8: Session;
  let rotated: Session;
  let int4: Session;
  let wanted: Exact[][];

  beforeAll(async () => {
    runtime = await openRuntime({ log: { info: () => {}, warn: console.warn } });
    exact = await open({ form: "f32" });
    int8 = await open({ form: "int8" });
    rotated = await open({ form: "int8-rotated", saturates: await machineSaturates() });
    int4 = await open({ form: "int4" });
    wanted = await readExactly(exact);
  });

  afterAll(async () => {
    await Promise.all([exact, int8, rotated, int4].map((session) => session.release()));
    rmSync(scratch, { recursive: true });
  });

  async function compareIn(name: string, session: Session) {
    const found = await compare(wanted, session);
    console.info(
      `SmolLM2 in ${name}, ${texts.flat().length} tokens: KL ${found.divergence.toFixed(4)}, ` +
        `mean |Δ logprob| ${found.logprob.toFixed(4)}, top-1 ${found.agreement.toFixed(4)}`,
    );
    return found;
  }

  async function compareOpened(name: string, options: DecoderOptions) {
    const session = await open(options);
    try {
      return await compareIn(name, session);
    } finally {
      await session.release();
    }
  }

  // Again where it fails: in three of some fifty runs of the whole suite one figure of one form was off by a place's
  // worth, in none of thousands of runs, loads, builds and comparisons beside three others of their kind. A form that
  // is off is so twice; what both attempts found is printed, to tell which text it was.
  it("writes as near to f32 as the figures say that it ships with", { retry: 1 }, async () => {
    const checkpoint = await readDecoderCheckpoint(folder, 256);
    if (checkpoint === null) throw new Error("it is a decoder");
    const tokenizer = await makeTokenizer(await decoderTokenizerFiles(checkpoint));
    const reading = { maxTokens: checkpoint.limits.maxTokens, signal: never };
    const samples = await decoderSamples(exact, tokenizer, reading);
    const measured: Measured[] = [];
    for (const sample of samples) {
      const own = { samples: [sample], signal: never };
      const figures = await measureDecoders(exact, [int8, rotated, int4], own);
      measured.push({ figures, places: sample.ids.length - sample.from });
    }
    console.info(JSON.stringify(measured));
    const found = forms.map((_, at) => meanOver(measured, at));
    const shipped = shippedFigures(await sha256OfFile(file, never));
    expect(found).toEqual(forms.map((form) => near(shipped?.[form])));
    expect(found.every(isAccurateDecoder)).toBe(true);
  });

  it("strays little more with keys and values in int8", async () => {
    const reach = await reachOfSome(int8);
    const alone = await compareOpened("f32, keys and values in int8", { form: "f32", reach });
    expect(alone.divergence).toBeLessThanOrEqual(0.003);
    const both = await compareOpened("int8, keys and values too", { form: "int8", reach });
    expect(both.divergence).toBeLessThanOrEqual(0.006);
  });

  it.each(forms)("strays little from f32 in %s", async (form) => {
    const found = await compareIn(form, { int8, "int8-rotated": rotated, int4 }[form]);
    expect(found.divergence).toBeLessThanOrEqual(0.006);
    expect(found.logprob).toBeLessThanOrEqual(0.05);
    expect(found.agreement).toBeGreaterThanOrEqual(0.98);
  });
});
