/**
 * `npm run model -- verify FOLDER`: compiles the checkpoint in a folder (safetensors with its config.json, or one GGUF
 * file) with the head it was trained with, or takes the
 * ready-made ONNX file there as it would be served, runs the inputs of its `expected.json` and compares. That file
 * holds `input_ids` and `attention_mask` [batch, sequence] and, for each output of the head, the numbers expected;
 * those at padded positions mean nothing and are passed over.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import * as z from "zod";
import { buildDecoder, isDecoder } from "../architectures/decoder.ts";
import type { Head } from "../architectures/encoder-head.ts";
import { buildEncoder, headOfCheckpoint, sizesOf } from "../architectures/encoder.ts";
import { findWeights, readCheckpoint, type WeightsFile } from "../checkpoints/checkpoint.ts";
import { findDecoderWeights, openDecoderWeights } from "../checkpoints/decoder-weights.ts";
import { readJson } from "../files/json-file.ts";
import { servedOnnx } from "../graphs/onnx-session.ts";
import type { Graph } from "../onnx/graph.ts";
import { writeModel } from "../onnx/write-model.ts";
import type { Runtime, Session, ValueInfo } from "../runtime/session.ts";
import type { Shape } from "../tensor/shape.ts";
import { int64 } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { openSafetensors } from "../weights/safetensors-reader.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { readingWholeTexts } from "./whole-texts.ts";

export const defaultTolerance = 1e-3;

export type VerifyOptions = {
  readonly runtime: Runtime;
  readonly threads: number;
  /** Largest absolute difference that passes. Default 1e-3. */
  readonly tolerance?: number;
  readonly signal?: AbortSignal;
};

export type Verification = {
  /** Infinity where an output is not a number. */
  readonly maxAbsDifference: number;
  /** By name of the output. */
  readonly outputs: Readonly<Record<string, number>>;
  /** Numbers compared. */
  readonly compared: number;
  readonly passed: boolean;
};

const Ids = z.array(z.array(z.int().nonnegative()).min(1)).min(1);
type Nested = number | readonly Nested[];
const Nested: z.ZodType<Nested> = z.lazy(() => z.union([z.number(), z.array(Nested)]));
const Inputs = z.object({
  input_ids: Ids,
  attention_mask: Ids.optional(),
  token_type_ids: Ids.optional(),
});
const Expected = z.intersection(Inputs, z.record(z.string(), Nested));
type Expected = z.infer<typeof Expected>;

function outputNames(expected: Expected): string[] {
  const inputs = new Set(Object.keys(Inputs.shape));
  return Object.keys(expected).filter((name) => !inputs.has(name));
}

async function readRequired<T>(folder: string, name: string, schema: z.ZodType<T>): Promise<T> {
  const file = await readJson(folder, name, schema).catch((cause: unknown) => {
    throw new Error(`${folder}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  });
  if (file === null) throw new Error(`${folder}: ${name} is missing`);
  return file;
}

function shapeOf(nested: Nested): number[] {
  if (typeof nested === "number") return [];
  const [first = 0] = nested;
  return [nested.length, ...shapeOf(first)];
}

/** What gives such outputs, for the older configs that name no class. */
function headByOutputs(config: unknown, expected: Expected): Head {
  const { logits } = expected;
  if (logits === undefined) return { name: "question-answering" };
  const shape = shapeOf(logits);
  if (shape.length < 3) return { name: "sequence-classification" };
  const isWords = shape[2] === sizesOf(config).vocabulary;
  return { name: isWords ? "masked-lm" : "token-classification" };
}

const NamedClass = z.object({ architectures: z.array(z.string()).min(1) });

/** The trained head's, or where hidden states are all that is expected, the bare encoder. */
function headFor(config: unknown, expected: Expected): Head {
  const outputs = outputNames(expected);
  const bare = outputs.length > 0 && outputs.every((name) => name === "last_hidden_state");
  if (bare) return { name: "none" };
  const named = NamedClass.safeParse(config).success;
  return named ? headOfCheckpoint(config) : headByOutputs(config, expected);
}

function build(config: unknown, weights: WeightSource, expected: Expected): Graph {
  if (!isDecoder(config)) {
    return buildEncoder(config, weights, { head: headFor(config, expected), form: "f32" });
  }
  const positions = Math.max(...expected.input_ids.map((row) => row.length));
  return buildDecoder(config, weights, { positions });
}

type Compiling = { config: unknown; expected: Expected; scratch: string };

/** Through files, as the worker does: one protobuf holds less than 2 GiB. @returns the graph's */
async function compile(
  weights: WeightSource,
  { config, expected, scratch }: Compiling,
): Promise<string> {
  try {
    const compiled = path.join(scratch, "model.onnx");
    await writeModel(build(config, weights, expected), compiled);
    return compiled;
  } finally {
    weights.close();
  }
}

function flatten(nested: Nested): number[] {
  return typeof nested === "number" ? [nested] : nested.flatMap(flatten);
}

function tensorOf(rows: readonly (readonly number[])[]): Tensor {
  return int64(shapeOf(rows), flatten(rows));
}

/** What the model reads: not every family has types of tokens. */
function feedsOf(expected: Expected, { inputs }: Session): Record<string, Tensor> {
  const { input_ids: ids, attention_mask: mask, token_type_ids: types } = expected;
  const filled = (value: number) => ids.map((row) => row.map(() => value));
  const made: Record<string, Tensor> = {
    input_ids: tensorOf(ids),
    attention_mask: tensorOf(mask ?? filled(1)),
    token_type_ids: tensorOf(types ?? filled(0)),
  };
  const read = new Set(inputs.map(({ name }) => name));
  return Object.fromEntries(Object.entries(made).filter(([name]) => read.has(name)));
}

function expectShape(name: string, expected: Shape, actual: Shape): void {
  if (expected.join() === actual.join()) return;
  throw new Error(`${name} is [${actual.join(", ")}], expected.json has [${expected.join(", ")}]`);
}

type Comparison = { difference: number; compared: number };

/** Positions that mean something: all, or for an output with an axis of tokens, those of tokens. */
function isCompared(info: ValueInfo, count: number, mask: readonly number[]) {
  const perToken = typeof info.shape[1] === "string";
  const each = count / mask.length;
  return (at: number): boolean => !perToken || mask[Math.floor(at / each)] === 1;
}

function compare(expected: Nested, actual: Tensor | undefined, info: ValueInfo, mask: number[]) {
  if (actual?.dtype !== "float32") throw new Error(`the model gives no numbers for ${info.name}`);
  expectShape(info.name, shapeOf(expected), actual.shape);
  const wanted = flatten(expected);
  const compared = isCompared(info, wanted.length, mask);
  const result: Comparison = { difference: 0, compared: 0 };
  for (const [at, value] of wanted.entries()) {
    if (!compared(at)) continue;
    const difference = Math.abs(value - (actual.data[at] ?? NaN));
    result.compared += 1;
    result.difference = Math.max(
      result.difference,
      Number.isNaN(difference) ? Infinity : difference,
    );
  }
  return result;
}

async function compareAll(session: Session, expected: Expected, signal?: AbortSignal) {
  const feeds = feedsOf(expected, session);
  const actual = await session.run(feeds, signal === undefined ? {} : { signal });
  const mask = flatten(
    expected.attention_mask ?? expected.input_ids.map((row) => row.map(() => 1)),
  );
  return outputNames(expected).map((name) => {
    const info = session.outputs.find((output) => output.name === name);
    const wanted = expected[name];
    if (info === undefined || wanted === undefined) {
      const has = session.outputs.map((output) => output.name).join(", ");
      throw new Error(`expected.json has ${name}, the model gives ${has}`);
    }
    return [name, compare(wanted, actual[name], info, mask)] as const;
  });
}

async function weightsOf(folder: string): Promise<Omit<WeightsFile, "bytes">> {
  return findWeights(folder).catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${folder}: ${why}`, { cause });
  });
}

async function openFolder(
  folder: string,
  expected: Expected,
  { runtime, threads, signal, scratch }: VerifyOptions & { scratch: string },
): Promise<Session> {
  const base = { threads, provider: "cpu" as const };
  const load = signal === undefined ? base : { ...base, signal };
  const openCompiled = async (config: unknown, weights: WeightSource) => {
    const compiled = await compile(weights, { config, expected, scratch });
    const session = await runtime.load({ path: compiled }, load);
    return isDecoder(config) ? readingWholeTexts(session) : session;
  };
  const decoder = await findDecoderWeights(folder);
  if (decoder !== null) {
    const { config, weights } = openDecoderWeights(decoder);
    return openCompiled(config, weights);
  }
  const config = await readRequired(folder, "config.json", z.looseObject({}));
  const { format, file } = await weightsOf(folder);
  if (format === "safetensors") return openCompiled(config, openSafetensors(file));
  const checkpoint = await readCheckpoint(folder);
  const session = await runtime.load({ path: file }, load);
  try {
    return await servedOnnx(session, checkpoint, { runtime, provider: "cpu" });
  } catch (error) {
    await session.release();
    throw error;
  }
}

/** Throws on a folder that cannot be compiled or compared; a difference that is too large is a result, not an error. */
export async function verifyModel(folder: string, options: VerifyOptions): Promise<Verification> {
  const expected = await readRequired(folder, "expected.json", Expected);
  const scratch = await mkdtemp(path.join(tmpdir(), "llm-os-verify-"));
  try {
    const session = await openFolder(folder, expected, { ...options, scratch });
    try {
      return await verifySession(session, expected, options);
    } finally {
      await session.release();
    }
  } finally {
    await rm(scratch, { recursive: true });
  }
}

async function verifySession(
  session: Session,
  expected: Expected,
  { tolerance = defaultTolerance, signal }: VerifyOptions,
): Promise<Verification> {
  const comparisons = await compareAll(session, expected, signal);
  const compared = comparisons.reduce((sum, [, comparison]) => sum + comparison.compared, 0);
  if (compared === 0) throw new Error("expected.json holds nothing to compare");
  const differences = comparisons.map(([name, { difference }]) => [name, difference] as const);
  const maxAbsDifference = Math.max(...differences.map(([, difference]) => difference));
  return {
    maxAbsDifference,
    outputs: Object.fromEntries(differences),
    compared,
    passed: maxAbsDifference <= tolerance,
  };
}
