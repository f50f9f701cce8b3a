/** Continued pre-training by masks: by the command, served from the folder it wrote, and tuned further. */
import { readFileSync } from "node:fs";
import { cp } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { fillMask } from "../../gpu-worker/pipelines/fill-mask.ts";
import { maskWindow } from "../../gpu-worker/training/masked-rows.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { writeSafetensors } from "../../gpu-worker/weights/safetensors-writer.ts";
import { acquireEncoder } from "../catalog/acquire-encoder.ts";
import { type CatalogBench, never, openCatalogBench } from "../catalog/catalog-bench.ts";
import { writeTinyEncoder } from "../catalog/tiny-encoder.ts";
import { randomFrom } from "../random-from.ts";
import { madeTexts, namesIn, reportOf, tune, writeLines } from "./tune-bench.ts";

let bench: CatalogBench;

beforeEach(async () => {
  bench = await openCatalogBench();
  await writeTinyEncoder(bench.local("tiny"));
});

afterEach(() => bench.close());

const made = path.resolve(import.meta.dirname, "../checkpoints/library-checkpoints");

const rules = { maskId: 4, vocabulary: 1_000 };
const windowOf = (length: number) => ({
  ids: [2, ...Array.from({ length }, (_, at) => 500 + at), 3],
  from: 1,
  to: 1 + length,
});

describe("masks", () => {
  it("ask for 15 of 100 of a text's own tokens, one at least, by the seed alone", () => {
    const below = randomFrom(1);
    for (let seed = 0; seed < 200; seed++) {
      const window = windowOf(1 + below(300));
      const { ids, positions, labels } = maskWindow(window, rules, seed);
      const own = window.to - window.from;
      expect(positions.length).toBe(Math.max(1, Math.round(own * 0.15)));
      expect(new Set(positions).size).toBe(positions.length);
      expect(positions.every((at) => at >= 1 && at <= own)).toBe(true);
      expect(labels).toEqual(positions.map((at) => window.ids[at]));
      const changed = ids.flatMap((id, at) => (id === window.ids[at] ? [] : [at]));
      expect(changed.every((at) => positions.includes(at))).toBe(true);
      expect(maskWindow(window, rules, seed)).toEqual({ ids, positions, labels });
    }
    expect(maskWindow(windowOf(100), rules, 1)).not.toEqual(maskWindow(windowOf(100), rules, 2));
  });

  it("are a mask 8 times of 10, another token once, the token itself once", () => {
    const counts = { masked: 0, kept: 0, other: 0 };
    for (let seed = 0; seed < 300; seed++) {
      const window = windowOf(200);
      const { ids, positions } = maskWindow(window, rules, seed);
      for (const at of positions) {
        const kind = ids[at] === 4 ? "masked" : ids[at] === window.ids[at] ? "kept" : "other";
        counts[kind] += 1;
      }
    }
    const total = counts.masked + counts.kept + counts.other;
    expect(counts.masked / total).toBeCloseTo(0.8, 1);
    expect(counts.kept / total).toBeCloseTo(0.1, 1);
    expect(counts.other / total).toBeCloseTo(0.1, 1);
  });
});

/** One word again and again. */
const texts = Array.from({ length: 200 }, (_, at) =>
  Array.from({ length: 4 + (at % 9) }, () => ["a", "quick", "brown", "fox"][at % 4]).join(" "),
);

async function pretrain(options: object = {}) {
  const file = (name: string) => path.join(bench.folder, name);
  const lines = texts.map((text) => ({ text }));
  const data = await writeLines(file("train.jsonl"), lines.slice(0, 160));
  const validation = await writeLines(file("held-out.jsonl"), lines.slice(160));
  const out = bench.local("tuned");
  const usual = { model: "tiny", epochs: 30, learningRate: 2e-2, ...options };
  await tune(bench, { ...usual, data, validation, out });
  return { out, report: reportOf(out) };
}

async function filled(text: string): Promise<string> {
  const model = await acquireEncoder(await bench.open(), "tuned");
  const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });
  const request = { task: "fill-mask" as const, inputs: [text], parameters: { top_k: 1 } };
  const { outputs } = await runner.run(fillMask, request, model, { signal: never });
  return JSON.stringify(outputs);
}

it("plain texts are learnt, the masks filled, and the folder is a base to tune", async () => {
  const { out, report } = await pretrain();
  expect(report).toMatchObject({ task: "pretraining", base_kind: "base_model" });
  const [perplexity] = report.comparisons;
  expect(perplexity).toMatchObject({ metric: "perplexity", better: "lower" });
  expect(perplexity?.tuned).toBeLessThan((perplexity?.base ?? 0) / 2);
  expect(perplexity?.interval?.high).toBeLessThan(0);
  expect(await filled("fox fox [MASK] fox fox")).toContain('"token_str":"fox"');
  expect(await filled("brown brown brown [MASK]")).toContain('"token_str":"brown"');
  const config = JSON.parse(readFileSync(path.join(out, "config.json"), "utf8"));
  expect(config).toMatchObject({ architectures: ["BertForMaskedLM"], tie_word_embeddings: true });
  expect(namesIn(out).filter((name) => !name.startsWith("bert."))).toEqual(
    namesIn(path.join(made, "bert-masks")).filter((name) => !name.startsWith("bert.")),
  );
  const labelled = madeTexts(60).map((text) => ({ text, label: String(text.includes("fox")) }));
  const data = await writeLines(path.join(bench.folder, "labels.jsonl"), labelled);
  await tune(bench, { model: "tuned", data, out: bench.local("further"), epochs: 1 });
  expect(reportOf(bench.local("further")).base_model).toBe("tuned");
});

it.each(["deberta-v2", "distilbert", "electra", "roberta"])(
  "a head of %s that is there is trained on, under its names",
  async (family) => {
    const base = `${family}-masks`;
    await cp(path.join(made, base), bench.local(base), { recursive: true });
    const { out, report } = await pretrain({ model: base, epochs: 1, learningRate: 1e-3 });
    expect(namesIn(out)).toEqual(namesIn(path.join(made, base)));
    const [perplexity] = report.comparisons;
    expect(perplexity?.tuned).toBeLessThan(perplexity?.base ?? 0);
  },
);

/** The table of words, and others that are it or not, as a decoder of its own. */
async function withDecoder(folder: string, factor: number): Promise<void> {
  const file = path.join(folder, "model.safetensors");
  const source = openSafetensors(file);
  const tensors = source.names().map((name) => {
    const { shape, data } = source.read(name);
    return { name, dtype: "float32" as const, shape, load: () => data };
  });
  const words = source.read("bert.embeddings.word_embeddings.weight");
  source.close();
  const data = Float32Array.from(Array.from(words.data, Number), (value) => value * factor);
  const own = { shape: words.shape, dtype: "float32" as const, load: () => data };
  await writeSafetensors(file, [...tensors, { ...own, name: "cls.predictions.decoder.weight" }]);
}

it.each([
  ["that is the table of words stays one with it", 1, true],
  ["of its own stays its own", 1.5, false],
])("a decoder %s", async (_name, factor, tied) => {
  await cp(path.join(made, "bert-masks"), bench.local("base"), { recursive: true });
  await withDecoder(bench.local("base"), factor);
  const { out } = await pretrain({ model: "base", epochs: 1 });
  const config = JSON.parse(readFileSync(path.join(out, "config.json"), "utf8"));
  expect(config.tie_word_embeddings).toBe(tied);
  expect(namesIn(out).includes("cls.predictions.decoder.weight")).toBe(!tied);
});
