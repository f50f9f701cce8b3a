/**
 * Decoders in every form that they are computed in, against themselves in f32: tiny ones of every family, weights that
 * the checkpoint stores in blocks, and texts alone and among others. smollm2-forms.test.ts has a real one.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildDecoder, decoderFamilies } from "../../gpu-worker/architectures/decoder.ts";
import { decoderForms } from "../../gpu-worker/architectures/decoder-form.ts";
import type { DecoderForm } from "../../gpu-worker/architectures/decoder-form.ts";
import { measureReach } from "../../gpu-worker/architectures/kept-reach.ts";
import type { LayerReach } from "../../gpu-worker/architectures/kept-reach.ts";
import { PromptedSession } from "../../gpu-worker/graphs/prompted-session.ts";
import { GraphBuilder } from "../../gpu-worker/onnx/graph-builder.ts";
import type { Graph } from "../../gpu-worker/onnx/graph.ts";
import { verifyGraph } from "../../gpu-worker/onnx/verify-graph.ts";
import { writeModel } from "../../gpu-worker/onnx/write-model.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { Runtime, Session } from "../../gpu-worker/runtime/session.ts";
import { wholeText } from "../../gpu-worker/model/decoder-feeds.ts";
import { elementCount } from "../../gpu-worker/tensor/shape.ts";
import { tensor } from "../../gpu-worker/tensor/tensor.ts";
import {
  middledBlocksOf,
  nibbleBlocksOf,
  scalesOf,
  stepsOf,
} from "../../gpu-worker/weights/block-matrix.ts";
import { dequantise } from "../../gpu-worker/weights/ggml-blocks.ts";
import { readFloat32 } from "../../gpu-worker/weights/read-float32.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { numbers } from "../onnx/run-graph.ts";
import { blockedDecoder, blocksOf } from "./blocked-decoder.ts";
import { isFormOf } from "./form-of-tiny.ts";
import { machineSaturates } from "./machine-saturates.ts";
import { TextReader } from "./text-reader.ts";

const forms = ["f16", "int8", "int8-rotated", "int4"] as const satisfies DecoderForm[];
const saturates = await machineSaturates();
let runtime: Runtime;
const scratch = mkdtempSync(path.join(tmpdir(), "llm-os-forms-"));

beforeAll(async () => {
  const log = { info: () => undefined, warn: () => undefined };
  runtime = await openRuntime({ log, threads: 2 });
});

afterAll(() => rmSync(scratch, { recursive: true }));

async function load(graph: Graph): Promise<Session> {
  const file = path.join(scratch, "model.onnx");
  await writeModel(graph, file);
  return runtime.load({ path: file }, { threads: 2, provider: "cpu" });
}

/** Logits by text and token. */
type Logits = number[][][];

async function read(graph: Graph, texts: readonly (readonly number[])[]): Promise<Logits> {
  const session = await load(graph);
  try {
    const all: Logits = [];
    for (const text of texts) {
      all.push(...(await new TextReader(session, 1, text.length).read([text])));
    }
    return all;
  } finally {
    await session.release();
  }
}

/** Root mean square of the differences, as a share of the logits' own spread. */
function strayed(exact: Logits, found: Logits): number {
  const [a, b] = [exact, found].map((logits) => logits.flat(2));
  if (a === undefined || b === undefined || a.length !== b.length) return Infinity;
  const mean = a.reduce((sum, value) => sum + value, 0) / a.length;
  const spread = a.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return Math.sqrt(a.reduce((sum, value, at) => sum + (value - (b[at] ?? NaN)) ** 2, 0) / spread);
}

const folder = path.join(import.meta.dirname, "decoders");
const tiny = readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? [entry.name] : [],
);
const text = [3, 17, 5, 29, 8, 1, 22, 11, 30, 2];

function tinyGraph(name: string, form: DecoderForm, reach?: readonly LayerReach[]): Graph {
  const config: unknown = JSON.parse(readFileSync(path.join(folder, name, "config.json"), "utf8"));
  const weights = openSafetensors(path.join(folder, name, "model.safetensors"));
  try {
    const { initializers, ...graph } = buildDecoder(config, weights, {
      positions: 32,
      form,
      saturates,
      ...(reach && { reach }),
    });
    const loaded = initializers.map(({ load: elements, ...rest }) => {
      const kept = elements();
      return { ...rest, load: () => kept };
    });
    return { ...graph, initializers: loaded };
  } finally {
    weights.close();
  }
}

describe("tiny decoders", () => {
  const found: string[] = [];
  afterAll(() =>
    console.info(`tiny decoders, share of the logits' spread\n  ${found.join("\n  ")}`),
  );

  it("show every family", () => {
    const begun = decoderFamilies.filter((family) =>
      tiny.some((name) => name.startsWith(family.replace("_text", ""))),
    );
    expect(begun).toEqual(decoderFamilies);
  });

  it.each(tiny)("%s strays little in every form", async (name) => {
    const exact = await read(tinyGraph(name, "f32"), [text]);
    for (const form of forms.filter((each) => isFormOf(name, each))) {
      const graph = tinyGraph(name, form);
      verifyGraph(graph);
      const share = strayed(exact, await read(graph, [text]));
      found.push(`${name} ${form} ${share.toFixed(4)}`);
      expect(share, form).toBeLessThan(form === "f16" ? 0.01 : 0.1);
    }
  });

  it("keep keys, values and matrices in half precision in f16", () => {
    const graph = tinyGraph("llama-yarn", "f16");
    const kept = [...graph.inputs, ...graph.outputs].filter(({ name }) => /key|value/.test(name));
    expect(kept.length).toBe(16);
    expect(kept.every(({ dtype }) => dtype === decoderForms.f16.kept)).toBe(true);
    expect(graph.outputs.find(({ name }) => name === "logits")?.dtype).toBe("float32");
    const matrices = graph.initializers.filter(
      ({ shape, name }) => shape.length === 2 && !name.startsWith("rope"),
    );
    expect(new Set(matrices.map(({ dtype }) => dtype))).toEqual(new Set(["float16"]));
  });
});

describe("blocks", () => {
  it.each(["Q4_0", "Q4_1"] as const)("of %s are the nibbles that are stored", (type) => {
    const stored = blocksOf(type, numbers(4 * 96, 3), [4, 96]);
    const { nibbles, scales, shifts } = nibbleBlocksOf(stored);
    const elements = Array.from(nibbles).flatMap((pair) => [pair & 15, pair >> 4]);
    const values = elements.map((nibble, at) => {
      const block = Math.floor(at / 32);
      return (nibble - 8) * (scales[block] ?? NaN) + (shifts[block] ?? NaN);
    });
    const exact = dequantise(stored);
    expect(
      Math.max(...values.map((value, at) => Math.abs(value - (exact[at] ?? NaN)))),
    ).toBeLessThan(1e-6);
  });

  it("of nibbles are in 8 bits what they are in 4, whatever their least value is", () => {
    const matrix = numbers(6 * 64, 11).map(
      (value, at) => value + ([0, -0.4, 0.9, 3, -3, 0][at >> 6] ?? 0),
    );
    matrix.fill(0, 5 * 64);
    const stored = nibbleBlocksOf(blocksOf("Q4_1", matrix, [6, 64]));
    const exact = dequantise(blocksOf("Q4_1", matrix, [6, 64]));
    const { steps, scales, middles } = middledBlocksOf(stored);
    for (const [at, value] of exact.entries()) {
      const block = at >> 5;
      const found = ((steps[at] ?? NaN) - (middles[block] ?? NaN)) * (scales[block] ?? NaN);
      // Blocks without 0 are rounded to 127 steps from it.
      const far = Math.max((stored.scales[block] ?? 0) / 34, (scales[block] ?? 0) / 2);
      expect(Math.abs(found - value)).toBeLessThanOrEqual(far * 1.001);
    }
  });

  it("of Q8_0 come back as they were", () => {
    const stored = blocksOf("Q8_0", numbers(3 * 64, 5), [3, 64]);
    const matrix = dequantise(stored);
    const [steps, scales] = [stepsOf(matrix, 64), scalesOf(matrix, 64)];
    const again = matrix.map((_, at) => ((steps[at] ?? 0) - 128) * (scales[at >> 5] ?? 0));
    expect(again).toEqual(matrix);
  });

  it.each([1, 4, 16])("of the largest weights do not saturate, with %d tokens", async (tokens) => {
    const [columns, rows] = [64, 33];
    const graph = new GraphBuilder("largest");
    const x = graph.input("x", "float32", ["tokens", columns]);
    const attributes = { K: columns, N: rows, bits: 8, block_size: 32, accuracy_level: 4 };
    const scales = graph.constant(
      tensor("float32", [rows * 2], new Float32Array(rows * 2).fill(1)),
    );
    for (const step of [1, 255]) {
      const filled = new Uint8Array(rows * columns).fill(step);
      const steps = graph.constant(tensor("uint8", [rows, 2, 32], filled));
      graph.output(`${step}`, x.op("com.microsoft.MatMulNBits", [steps, scales], attributes));
    }
    const session = await load(graph.build());
    for (const value of [1, -1]) {
      const data = new Float32Array(tokens * columns).fill(value);
      const result = await session.run({ x: tensor("float32", [tokens, columns], data) });
      for (const [step, sums] of Object.entries(result)) {
        const exact = value * (Number(step) - 128) * columns;
        expect(sums.shape).toEqual([tokens, rows]);
        const shares = Array.from(sums.dtype === "float32" ? sums.data : [], (sum) => sum / exact);
        expect(Math.max(...shares)).toBeCloseTo(1, 5);
        expect(Math.min(...shares)).toBeCloseTo(1, 5);
      }
    }
    await session.release();
  });

  it.each(["Q4_0", "Q4_1", "Q8_0"] as const)("stored as %s strays little", async (type) => {
    const { config, weights } = blockedDecoder(type);
    const texts = [text];
    const exact = await read(buildDecoder(config, weights, { positions: 32 }), texts);
    for (const form of ["int8", "int8-rotated", "int4"] as const) {
      const graph = buildDecoder(config, weights, { positions: 32, form, saturates });
      const bits = graph.nodes.flatMap(({ attributes: { bits: each } }) =>
        each?.kind === "int" ? [Number(each.value)] : [],
      );
      expect(bits.includes(4)).toBe(form === "int4" && type !== "Q8_0");
      const floats = graph.initializers.filter(({ dtype }) => dtype === "float32");
      // Scales and norms. A matrix has thousands of numbers, and so has the table of words.
      expect(Math.max(...floats.map(({ shape }) => elementCount(shape)))).toBeLessThan(1_000);
      const bound = form === "int8-rotated" ? 0.04 : 0.03;
      expect(strayed(exact, await read(graph, texts)), form).toBeLessThan(bound);
    }
  });
});

/** A prompt for each, and what follows token by token. */
const batch = [
  { prompt: [5, 9, 31, 2, 7, 18, 4], next: [6, 3, 8, 40] },
  { prompt: [12, 1], next: [9, 9, 2, 5] },
  { prompt: [33, 14, 2, 20, 25, 6, 38, 11, 7, 3, 1], next: [1, 19, 4, 2] },
];

describe("keys and values in int8", () => {
  it.each(tiny)("change little of %s, whole and step by step", async (name) => {
    const exact = await load(tinyGraph(name, "f32"));
    const seen = await exact.run(wholeText(exact, text));
    const whole = await new TextReader(exact, 1, 32).read([text]);
    await exact.release();
    const kept = await load(tinyGraph(name, "f32", measureReach([seen])));
    const reader = new TextReader(kept, 1, 32);
    const rows: number[][] = [];
    for (const piece of [text.slice(0, 4), ...text.slice(4).map((token) => [token])]) {
      rows.push(...((await reader.read([piece]))[0] ?? []));
    }
    await kept.release();
    expect(kept.inputs.filter(({ dtype }) => dtype === "int8").length).toBeGreaterThan(1);
    expect(strayed(whole, [rows])).toBeLessThan(0.1);
  });
});

describe("a text among others", () => {
  it.each(["f32", "int8", "int8-rotated", "int4"] as const)(
    "has the logits it has alone in %s",
    async (form) => {
      const { config, weights } = blockedDecoder("Q4_1");
      const session = await load(buildDecoder(config, weights, { positions: 32, form, saturates }));
      // Twice: of one row 4-bit products are summed in another order with AVX2 alone (compute-form/fewest-rows.ts).
      const readers = batch.map(() => new TextReader(session, 2, 32));
      const alone: Logits = [];
      for (const [at, { prompt, next }] of batch.entries()) {
        const rows: number[][] = [];
        for (const piece of [prompt, ...next.map((token) => [token])]) {
          const [given = []] = (await readers[at]?.read([piece, piece])) ?? [];
          rows.push(...given);
        }
        alone.push(rows);
      }
      const together = new TextReader(session, batch.length, 32);
      const rows = await together.read(batch.map(({ prompt }) => prompt));
      for (let step = 0; step < 4; step++) {
        const tokens = batch.map(({ next }) => next.slice(step, step + 1));
        for (const [at, [row = []]] of (await together.read(tokens)).entries()) rows[at]?.push(row);
      }
      expect(rows.flat(2).every(Number.isFinite)).toBe(true);
      const differences = rows.flatMap((given, at) =>
        given.flatMap((row, token) =>
          row.map((value, id) => Math.abs(value - (alone[at]?.[token]?.[id] ?? NaN))),
        ),
      );
      expect(Math.max(...differences)).toBe(0);
      await session.release();
    },
  );
});

describe("a graph that takes soft prompts", () => {
  it.each(["f32", ...forms] as const)(
    "gives the same in %s, to a word's vector too",
    async (form) => {
      const { config, weights } = blockedDecoder("Q4_1");
      const options = { positions: 32, form, saturates };
      const plain = await read(buildDecoder(config, weights, options), [text]);
      const file = path.join(scratch, "prompted.onnx");
      await writeModel(buildDecoder(config, weights, { ...options, prompts: true }), file);
      const loaded = await runtime.load({ path: file }, { threads: 2, provider: "cpu" });
      const session = new PromptedSession(loaded);
      const logitsOf = async (ids: readonly number[]) => {
        const { logits } = await session.run(wholeText(session, ids));
        return Array.from(logits?.data ?? [], Number);
      };
      expect(await logitsOf(text)).toEqual(plain.flat(2));
      const table = weights.names().find((name) => name.endsWith("embed_tokens.weight")) ?? "";
      const words = readFloat32(weights, table);
      const [second = 0, third = 0] = text.slice(1);
      const vectors = [second, third].flatMap((id) => [
        ...words.subarray(id * session.width, (id + 1) * session.width),
      ]);
      const virtual = session.add(Float32Array.from(vectors));
      const [first = 0, , , ...rest] = text;
      const found = await logitsOf([first, ...virtual, ...rest]);
      await session.release();
      expect(strayed(plain, [[found]])).toBeLessThan(form === "f32" ? 1e-6 : 0.03);
    },
  );
});
