/** What `export` writes runs by itself, and says what the service says of the same model in f32. */
import { execFile } from "node:child_process";
import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import { runExport } from "../../gpu-worker/cli/export-model.ts";
import { shapeTable } from "../../gpu-worker/architectures/embedding.ts";
import { wordShapes } from "../../gpu-worker/model/word-shapes.ts";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { runRows } from "../../gpu-worker/model/run-rows.ts";
import { encoderFor } from "../../gpu-worker/model/served-model.ts";
import { answerHeadOf } from "../../gpu-worker/pipelines/answer-head.ts";
import { featureExtraction } from "../../gpu-worker/pipelines/feature-extraction.ts";
import { relationExtraction } from "../../gpu-worker/pipelines/relation-extraction.ts";
import { textClassification } from "../../gpu-worker/pipelines/text-classification.ts";
import { tokenClassification } from "../../gpu-worker/pipelines/token-classification.ts";
import { readFloat32 } from "../../gpu-worker/weights/read-float32.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { writeSafetensors } from "../../gpu-worker/weights/safetensors-writer.ts";
import { type CatalogBench, never, openCatalogBench } from "../catalog/catalog-bench.ts";
import { writeTinyEncoder } from "../catalog/tiny-encoder.ts";
import { writeTunedAdapter } from "../catalog/tuned-adapter.ts";

const root = path.resolve(import.meta.dirname, "../..");
const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });
let bench: CatalogBench;
let catalog: Catalog;

const numbers = (count: number, seed: number) =>
  Float32Array.from({ length: count }, (_, at) => Math.sin(seed + at * 2.3));

/** A checkpoint that classifies, of the tiny encoder. */
async function writeClassifier(folder: string): Promise<void> {
  await writeTinyEncoder(folder);
  const file = path.join(folder, "model.safetensors");
  const source = openSafetensors(file);
  const read = source.names().map((name) => ({ name, data: readFloat32(source, name) }));
  const shapes = new Map(source.names().map((name) => [name, source.entry(name)?.shape ?? []]));
  source.close();
  const added = [
    { name: "classifier.weight", data: numbers(3 * 8, 1), shape: [3, 8] },
    { name: "classifier.bias", data: numbers(3, 2), shape: [3] },
  ];
  const tensors = [
    ...read.map((each) => ({
      ...each,
      name: `bert.${each.name}`,
      shape: shapes.get(each.name) ?? [],
    })),
    ...added,
  ];
  await writeSafetensors(
    file,
    tensors.map(({ name, data, shape }) => ({ name, dtype: "float32", shape, load: () => data })),
  );
  const config = JSON.parse(await readFile(path.join(folder, "config.json"), "utf8"));
  const id2label = { 0: "x", 1: "y", 2: "z" };
  const own = { ...config, architectures: ["BertForSequenceClassification"], id2label };
  await writeFile(path.join(folder, "config.json"), JSON.stringify(own));
  await rm(path.join(folder, "modules.json"));
}

beforeAll(async () => {
  bench = await openCatalogBench();
  await writeTinyEncoder(bench.local("tiny"));
  // Marks are many tokens of so small a vocabulary.
  const longer = JSON.stringify({ max_seq_length: 30, do_lower_case: false });
  await writeFile(path.join(bench.local("tiny"), "sentence_bert_config.json"), longer);
  await writeClassifier(bench.local("classifier"));
  await writeTunedAdapter(bench, "mean", { rank: 4 });
  await writeFile(path.join(bench.local("mean"), "README.md"), "# The card");
  await writeTunedAdapter(bench, "cls", {
    seed: 3,
    own: { pooling: "cls", problem: "multi_label" },
  });
  await writeTunedAdapter(bench, "tags", {
    seed: 4,
    config: { task_type: "TOKEN_CLS" },
    own: { task: "token-classification", pooling: "none", labels: ["A", "B"] },
  });
  await writeTunedAdapter(bench, "answers", {
    head: "qa_outputs",
    config: { task_type: "QUESTION_ANS" },
    own: { task: "question-answering", pooling: "none", labels: ["start", "end"] },
  });
  const shapes = { shape: [wordShapes.length, 8], values: numbers(wordShapes.length * 8, 5) };
  await writeTunedAdapter(bench, "shapes", {
    seed: 5,
    config: { task_type: "TOKEN_CLS" },
    own: { task: "token-classification", pooling: "none", word_shapes: true },
    tensors: { [`base_model.model.${shapeTable}`]: shapes },
  });
  for (const pooling of ["spans", "marks"]) {
    await writeTunedAdapter(bench, pooling, {
      own: { task: "relation-extraction", pooling, max_length: 30 },
      tensors: {
        "base_model.model.classifier.weight": { shape: [2, 24], values: numbers(48, 1) },
      },
    });
  }
  catalog = await bench.open();
});

afterAll(async () => {
  await runner.close();
  await bench.close();
});

/** Exports a model and runs its script, in a process of its own. @returns what it says of each text */
async function runExported(model: string, texts: string[], merge = false): Promise<unknown[]> {
  const out = path.join(bench.folder, `exported-${model}`);
  const { modelsFolder, stateFolder } = bench.settings;
  const files = await runExport({ model, out, merge }, { modelsFolder, stateFolder }, never);
  expect(files).toEqual(
    expect.arrayContaining(["model.json", "model.onnx", "run.mjs", "tokenizer.json"]),
  );
  await symlink(path.join(root, "node_modules"), path.join(out, "node_modules"));
  return runScript(model, texts);
}

async function runScript(model: string, texts: string[]): Promise<unknown[]> {
  const cwd = path.join(bench.folder, `exported-${model}`);
  const { stdout } = await promisify(execFile)(process.execPath, ["run.mjs", ...texts], { cwd });
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

const texts = ["a quick brown fox", "fox", "a foxs quick quick brown a unknownword"];

async function leased<T>(id: string, use: (model: Lease["model"]) => Promise<T>): Promise<T> {
  const { model, release } = await catalog.lease(id, never);
  try {
    return await use(model);
  } finally {
    release();
  }
}
type Lease = Awaited<ReturnType<Catalog["lease"]>>;

const scoresOf = (id: string, inputs: (string | { text: string; text_pair: string })[]) =>
  leased(id, async (model) => {
    const request = { task: "text-classification" as const, inputs, parameters: {} };
    const { outputs } = await runner.run(textClassification, request, model, { signal: never });
    return outputs.map((each) =>
      Object.fromEntries(each.map(({ label, score }) => [label, score])),
    );
  });

function expectAlike(found: unknown[], wanted: Record<string, number>[]): void {
  expect(found).toHaveLength(wanted.length);
  for (const [at, scores] of wanted.entries()) {
    expect(Object.keys(found[at] as object).toSorted()).toEqual(Object.keys(scores).toSorted());
    for (const [label, score] of Object.entries(scores)) {
      expect((found[at] as Record<string, number>)[label]).toBeCloseTo(score, 4);
    }
  }
}

it.each(["mean", "cls"])("an adapter of low rank, merged, by its pooling: %s", async (id) => {
  const served = await scoresOf(id, texts);
  expect(new Set(served.map(({ a }) => a?.toFixed(3))).size).toBeGreaterThan(1);
  expectAlike(await runExported(id, texts), served);
});

it("a checkpoint that classifies, of two texts too", async () => {
  const pair = ["a quick fox", "brown foxs"] as const;
  const served = await scoresOf("classifier", [...texts, { text: pair[0], text_pair: pair[1] }]);
  expectAlike(await runExported("classifier", [...texts, JSON.stringify(pair)]), served);
});

it.each(["tags", "shapes"])("an adapter that tags tokens: %s", async (id) => {
  const inputs = [...texts, "A quick FOX, 🦊 Brown a2 foXs"];
  const found = await runExported(id, inputs);
  const served = await leased(id, async (model) => {
    const parameters = { aggregation_strategy: "none" as const, ignore_labels: [] };
    const request = { task: "token-classification" as const, inputs, parameters };
    return runner.run(tokenClassification, request, model, { signal: never });
  });
  for (const [at, output] of served.outputs.entries()) {
    const { tokens, rows } = found[at] as { tokens: string[]; rows: Record<string, number>[] };
    expect(output.length).toBe(tokens.length - 2);
    for (const [token, entity] of output.entries()) {
      expect(rows[token + 1]?.[entity.entity]).toBeCloseTo(entity.score, 4);
    }
  }
});

it.each(["spans", "marks"])("an adapter that relates parts of a text: %s", async (id) => {
  const inputs = ["a <e1>quick</e1> <e2>brown fox</e2>", "🦊 <e2>Foxs</e2> <e1>a brown</e1>"];
  const found = await runExported(id, inputs);
  const served = await leased(id, async (model) => {
    const request = { task: "relation-extraction" as const, inputs, parameters: {} };
    return runner.run(relationExtraction, request, model, { signal: never });
  });
  const rows = served.outputs.map((each) =>
    Object.fromEntries(each.map(({ label, score }) => [label, score])),
  );
  expect(rows[0]).not.toEqual(rows[1]);
  expectAlike(found, rows);
  await expect(runScript(id, ["nothing is marked"])).rejects.toThrow(/mark two parts/);
});

it("an adapter that finds answers", async () => {
  const [question, context] = ["a quick", "brown fox a foxs"];
  const [found] = await runExported("answers", [JSON.stringify([question, context])], true);
  await leased("answers", async (model) => {
    const own = encoderFor("question-answering", model);
    const head = answerHeadOf(own);
    const [first, second] = await own.tokenizer.encode([question, context], { signal: never });
    const row = own.tokenizer.wrap(first?.ids ?? [], second?.ids);
    const adapter = own.adapter ?? 0;
    const [result] = await runRows([{ ...row, outputs: head.outputs, adapter }], own, never);
    const served = head.logitsOf(result ?? {});
    expect(Object.keys(found as object)).toEqual(["start_logits", "end_logits"]);
    for (const name of ["start_logits", "end_logits"] as const) {
      const logits = Array.from(served[name] ?? []);
      expect(logits).toHaveLength(row.ids.length);
      expect((found as Record<string, number[]>)[name]).toEqual(
        logits.map((logit): number => expect.closeTo(logit, 4)),
      );
    }
  });
  const beside = path.join(bench.folder, "exported-answers/checkpoint/classifier.safetensors");
  const classifier = openSafetensors(beside);
  expect(classifier.names().toSorted()).toEqual(["qa_outputs.bias", "qa_outputs.weight"]);
  classifier.close();
});

it("a sentence encoder", async () => {
  const found = await runExported("tiny", texts);
  const served = await leased("tiny", (model) => {
    const request = { task: "feature-extraction" as const, inputs: texts, parameters: {} };
    return runner.run(featureExtraction, request, model, { signal: never });
  });
  for (const [at, output] of served.outputs.entries()) {
    const bytes = Uint8Array.from(Buffer.from(String(output), "base64"));
    const vector = [...new Float32Array(bytes.buffer)];
    expect(vector).toHaveLength(8);
    for (const [place, element] of vector.entries()) {
      expect((found[at] as number[])[place]).toBeCloseTo(element, 4);
    }
  }
});

it("the base's checkpoint with an adapter in it, and the classifier beside it", async () => {
  const out = path.join(bench.folder, "merged");
  const { modelsFolder, stateFolder } = bench.settings;
  const command = { model: bench.local("mean"), out, merge: true };
  await runExport(command, { modelsFolder, stateFolder }, never);
  expect(await readFile(path.join(out, "README.md"), "utf8")).toBe("# The card");
  const merged = openSafetensors(path.join(out, "checkpoint", "model.safetensors"));
  const base = openSafetensors(path.join(bench.local("tiny"), "model.safetensors"));
  const lora = openSafetensors(path.join(bench.local("mean"), "adapter_model.safetensors"));
  const layer = "encoder.layer.0.attention.self.query";
  const down = readFloat32(lora, `base_model.model.${layer}.lora_A.weight`);
  const up = readFloat32(lora, `base_model.model.${layer}.lora_B.weight`);
  const [before, after] = [base, merged].map((each) => readFloat32(each, `${layer}.weight`));
  for (let output = 0; output < 8; output += 1) {
    for (let input = 0; input < 8; input += 1) {
      let sum = 0;
      // alpha / rank is 2.
      for (let k = 0; k < 4; k += 1)
        sum += 2 * (up[output * 4 + k] ?? 0) * (down[k * 8 + input] ?? 0);
      const at = output * 8 + input;
      expect(after?.[at]).toBeCloseTo((before?.[at] ?? NaN) + sum, 5);
    }
  }
  expect(merged.names().toSorted()).toEqual(base.names().toSorted());
  expect(merged.read("embeddings.word_embeddings.weight")).toEqual(
    base.read("embeddings.word_embeddings.weight"),
  );
  const classifier = openSafetensors(path.join(out, "checkpoint", "classifier.safetensors"));
  expect(readFloat32(classifier, "classifier.bias")).toHaveLength(2);
  for (const each of [merged, base, lora, classifier]) each.close();
});

it("refuses by name what cannot be exported, and a folder that has something in it", async () => {
  const { modelsFolder, stateFolder } = bench.settings;
  const attempt = (model: string, out: string, merge = false) =>
    runExport(
      { model, out: path.join(bench.folder, out), merge },
      { modelsFolder, stateFolder },
      never,
    );
  await expect(attempt("nobody", "a")).rejects.toThrow(/nobody is no model known here/);
  await expect(attempt("tiny", "c", true)).rejects.toThrow(/--merge is for adapters/);
  await mkdir(path.join(bench.folder, "full"));
  await writeFile(path.join(bench.folder, "full", "mine.txt"), "mine");
  await expect(attempt("tiny", "full")).rejects.toThrow(/is not empty: choose another --out/);
});
