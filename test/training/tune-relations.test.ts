/** Relations of two marked parts: tuned by the command, served from the folder it wrote. */
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { relationExtraction } from "../../gpu-worker/pipelines/relation-extraction.ts";
import { acquireEncoder } from "../catalog/acquire-encoder.ts";
import { type CatalogBench, never, openCatalogBench } from "../catalog/catalog-bench.ts";
import { writeTinyEncoder } from "../catalog/tiny-encoder.ts";
import { randomFrom } from "../random-from.ts";
import { reportOf, tune, writeLines } from "./tune-bench.ts";

let bench: CatalogBench;

beforeEach(async () => {
  bench = await openCatalogBench();
  const folder = bench.local("tiny");
  await writeTinyEncoder(folder);
  // Marks take many tokens.
  const limit = { max_seq_length: 32, do_lower_case: false };
  await writeFile(path.join(folder, "sentence_bert_config.json"), JSON.stringify(limit));
});

afterEach(() => bench.close());

const words = ["a", "quick", "brown", "fox"];

function madeRelations(count: number) {
  const below = randomFrom(11);
  const some = () => Array.from({ length: 1 + below(3) }, () => words[below(4)] ?? "").join(" ");
  const texts = new Set<string>();
  while (texts.size < count) {
    const [first, between, second] = [some(), some(), some()];
    const [e1, e2] = below(2) === 0 ? ["e1", "e2"] : ["e2", "e1"];
    texts.add(`<${e1}>${first}</${e1}> ${between} <${e2}>${second}</${e2}>`);
  }
  return [...texts].map((text) => ({
    text,
    label: text.includes("quick") ? "Haste(e1,e2)" : "Other",
  }));
}

const lines = madeRelations(240);
const [trained, heldOut] = [lines.slice(0, 180), lines.slice(180)];

it.each([
  ["full", {}, 0.1],
  ["lora", { learningRate: 3e-2 }, 0.03],
] as const)(
  "are learnt by %s with their marks, and served as they were evaluated; Other is not scored",
  async (strategy, more, gain) => {
    const file = (name: string) => path.join(bench.folder, name);
    const out = bench.local("tuned");
    await tune(bench, {
      model: "tiny",
      data: await writeLines(file("train.jsonl"), trained),
      validation: await writeLines(file("held-out.jsonl"), heldOut),
      out,
      epochs: 20,
      strategy,
      ...more,
    });
    const report = reportOf(out);
    expect(report.task).toBe("relation-extraction");
    const [macro, accuracy] = report.comparisons;
    expect([macro?.metric, accuracy?.metric]).toEqual(["macro_f1", "accuracy"]);
    expect(accuracy?.tuned).toBeGreaterThan((accuracy?.base ?? 1) + gain);
    const model = await acquireEncoder(await bench.open(), "tuned");
    const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });
    const task = "relation-extraction" as const;
    const request = { task, inputs: heldOut.map(({ text }) => text), parameters: {} };
    const { outputs } = await runner.run(relationExtraction, request, model, { signal: never });
    const best = outputs.map((each) => (each[0] && "label" in each[0] ? each[0].label : null));
    const right = best.filter((label, at) => label === heldOut[at]?.label);
    expect(right.length / heldOut.length).toBeCloseTo(accuracy?.tuned ?? NaN, 10);
  },
);

/** Hasty is what comes first, or second: one of the training examples and half of those that are held out. */
function directed(count: number, second: (at: number) => boolean) {
  return madeRelations(count).map(({ text }, at) => {
    const [hasty, other] = second(at) ? ["e2", "e1"] : ["e1", "e2"];
    const part = new RegExp(`(?<=<${hasty}>)[^<]*`);
    const marked = text.replaceAll("quick", "brown").replace(part, "quick fox");
    return { text: marked, label: `Haste(${hasty},${other})` };
  });
}

it("are learnt of one direction from examples of the other", async () => {
  const file = (name: string) => path.join(bench.folder, name);
  const out = bench.local("tuned");
  await tune(bench, {
    model: "tiny",
    data: await writeLines(
      file("train.jsonl"),
      directed(160, (at) => at === 0),
    ),
    validation: await writeLines(
      file("held-out.jsonl"),
      directed(220, (at) => at % 2 === 0).slice(160),
    ),
    out,
    epochs: 10,
    strategy: "lora",
    learningRate: 3e-2,
  });
  const accuracy = reportOf(out).comparisons.find(({ metric }) => metric === "accuracy");
  expect(accuracy?.base).toBe(0.5);
  expect(accuracy?.tuned).toBeGreaterThan(0.9);
});

it("refuses texts without marks, and heads", async () => {
  const data = path.join(bench.folder, "train.jsonl");
  await writeLines(data, lines);
  const out = bench.local("tuned");
  const head = tune(bench, { model: "tiny", data, out, strategy: "head" });
  await expect(head).rejects.toThrow("not for relation-extraction: use --strategy full");
  await writeLines(data, [...lines, { text: "<e1>a</e1> fox", label: "Other" }]);
  await expect(tune(bench, { model: "tiny", data, out })).rejects.toThrow("<e2> is missing");
});
