/**
 * What int8 loses on real data: sentence vectors beside f32's, and the accuracy of the shipped classifiers computed in
 * each form. Classifiers are asked about the data they were fitted on, so what counts is the difference, not the
 * height.
 */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { openRuntime } from "../gpu-worker/runtime/open-runtime.ts";
import type { Runtime } from "../gpu-worker/runtime/session.ts";
import { cosine } from "../gpu-worker/tensor/vectors.ts";
import { type Bench, type BenchContext, comparedRow, plainRow, type Row } from "./bench.ts";
import { type LabelledText, labelledTexts, mixedTexts } from "./harness/corpus.ts";
import { sendAll, ServedModels } from "./harness/served-models.ts";

const stateFolder = path.resolve(import.meta.dirname, "..", ".bench", "quantization");
const encoder = "all-MiniLM-L6-v2";
const textCount = 512;
const labelledCount = 2_000;
const callers = 64;

const classifiers = [
  { model: "sentiment-en", file: "sst2/dev.jsonl" },
  { model: "topic-en", file: "agnews/train.jsonl" },
  { model: "intent-banking", file: "banking77/train.jsonl" },
] as const;

type Form = "f32" | "int8";
type Measured = { vectors: Float32Array[]; labels: Map<string, string[]> };

async function vectorsOf(served: ServedModels, texts: readonly string[], signal: AbortSignal) {
  const vectors: Float32Array[] = [];
  await sendAll(texts.length, callers, async (at) => {
    const input = texts[at] ?? "";
    const parameters = { truncate: true };
    const request = { task: "feature-extraction", model: encoder, input, parameters } as const;
    const answer = await served.answer(request, signal);
    const [output] = answer.outputs;
    const bytes = Uint8Array.from(Buffer.from(typeof output === "string" ? output : "", "base64"));
    vectors[at] = new Float32Array(bytes.buffer);
    return answer;
  });
  return vectors;
}

async function labelsOf(
  served: ServedModels,
  model: string,
  { texts, signal }: { texts: readonly LabelledText[]; signal: AbortSignal },
): Promise<string[]> {
  const labels: string[] = [];
  await sendAll(texts.length, callers, async (at) => {
    const input = texts[at]?.text ?? "";
    const parameters = { truncate: true, top_k: 1 };
    const request = { task: "text-classification", model, input, parameters } as const;
    const answer = await served.answer(request, signal);
    labels[at] = answer.outputs[0]?.[0]?.label ?? "";
    return answer;
  });
  return labels;
}

async function measure(runtime: Runtime, form: Form, context: BenchContext): Promise<Measured> {
  const { signal, print } = context;
  const served = await ServedModels.open({ runtime, stateFolder, modelsFolder: null, form });
  try {
    await served.load(encoder, signal);
    const vectors = await vectorsOf(served, mixedTexts(textCount), signal);
    const labels = new Map<string, string[]>();
    for (const { model, file } of classifiers) {
      await served.load(model, signal);
      const texts = labelledTexts(file, labelledCount);
      labels.set(model, await labelsOf(served, model, { texts, signal }));
      print(`${form}: ${model} asked ${texts.length} times`);
    }
    return { vectors, labels };
  } finally {
    await served.close();
  }
}

function accuracy(labels: readonly string[], texts: readonly LabelledText[]): number {
  const right = texts.filter(({ label }, at) => labels[at] === label).length;
  return right / texts.length;
}

function classifierRows(f32: Measured, int8: Measured): Row[] {
  return classifiers.flatMap(({ model, file }) => {
    const texts = labelledTexts(file, labelledCount);
    const [before = [], after = []] = [f32, int8].map(({ labels }) => labels.get(model));
    const agreed = before.filter((label, at) => label === after[at]).length / before.length;
    return [
      comparedRow(`${model} int8 accuracy`, "of texts", accuracy(after, texts), {
        name: "f32",
        value: accuracy(before, texts),
      }),
      plainRow(`${model} same answer in both`, "of texts", agreed),
    ];
  });
}

export const bench: Bench = {
  summary:
    "what int8 loses on real data: vectors and the shipped classifiers' accuracy beside f32's",
  run: async (context) => {
    mkdirSync(stateFolder, { recursive: true });
    const runtime = await openRuntime({ log: { info: () => {}, warn: console.warn } });
    const f32 = await measure(runtime, "f32", context);
    const int8 = await measure(runtime, "int8", context);
    const cosines = f32.vectors.map((vector, at) => cosine(vector, int8.vectors[at] ?? vector));
    const mean = cosines.reduce((sum, value) => sum + value, 0) / cosines.length;
    return [
      plainRow(`${encoder} cosine to f32, mean`, "cosine", mean),
      plainRow(`${encoder} cosine to f32, least`, "cosine", Math.min(...cosines)),
      ...classifierRows(f32, int8),
    ];
  },
};
