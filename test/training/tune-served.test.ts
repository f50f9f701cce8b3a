/** The report of a tuned model is of the model as it is served: its form, its answers, its base's, their latency. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { zeroShotClassification } from "../../gpu-worker/pipelines/zero-shot-classification.ts";
import { acquireEncoder } from "../catalog/acquire-encoder.ts";
import { type CatalogBench, never, openCatalogBench } from "../catalog/catalog-bench.ts";
import { writeTinyEncoder } from "../catalog/tiny-encoder.ts";
import { classify, madeTexts, reportOf, tune, writeLines } from "./tune-bench.ts";

let bench: CatalogBench;

beforeEach(async () => {
  bench = await openCatalogBench();
  await writeTinyEncoder(bench.local("tiny"));
});

afterEach(() => bench.close());

type Labelled = { text: string; label: string };

async function writeParts(training: readonly Labelled[], heldOut: readonly Labelled[]) {
  return {
    data: await writeLines(path.join(bench.folder, "train.jsonl"), training),
    validation: await writeLines(path.join(bench.folder, "held-out.jsonl"), heldOut),
  };
}

const quick = madeTexts(160).map((text) => ({
  text,
  label: text.includes("quick") ? "fox" : "none",
}));

const shown = (value: number) => String(Number(value.toPrecision(4)));

it("in int8, where that is what serves: with its figures, latencies, sizes, and the form's name", async () => {
  bench.settings.form = "int8";
  const heldOut = quick.slice(100);
  const files = await writeParts(quick.slice(0, 100), heldOut);
  const out = bench.local("tuned");
  await tune(bench, { model: "tiny", ...files, out, epochs: 2 });
  const report = reportOf(out);
  expect(report).toMatchObject({ form: "int8", unserved: null, held_out_rows: heldOut.length });
  for (const system of ["base", "tuned"] as const) {
    const { p50_ms: middle = 0, p95_ms: most = 0 } = report.latency[system] ?? {};
    expect(middle).toBeGreaterThan(0);
    expect(most).toBeGreaterThanOrEqual(middle);
  }
  expect(report.size.tuned_bytes).toBeGreaterThan(0);
  const texts = heldOut.map(({ text }) => text);
  const answers = await classify(await bench.open(), "tuned", texts);
  const right = answers.filter(([best], at) => best?.label === heldOut[at]?.label);
  expect(report.comparisons[0]?.tuned).toBeCloseTo(right.length / heldOut.length, 10);
  const card = readFileSync(path.join(out, "README.md"), "utf8");
  const [{ base, tuned } = {}] = report.comparisons;
  expect(card).toContain(`| accuracy | ${shown(base ?? NaN)} | ${shown(tuned ?? NaN)} |`);
});

const things = ["the match", "the team", "the goal", "the soup", "the bread", "the sauce"];
const said = ["was great", "was late", "is what we want", "took an hour", "again", "at last"];
const sorted = things.flatMap((thing, at) =>
  said.map((words) => ({ text: `${thing} ${words}`, label: at < 3 ? "sports" : "cooking" })),
);

it("against what its base says by the labels' names, where that is better than the commonest label", async () => {
  const heldOut = sorted.filter((_, at) => at % 2 === 0);
  const files = await writeParts(
    sorted.filter((_, at) => at % 2 === 1),
    heldOut,
  );
  const out = bench.local("tuned");
  await tune(bench, { model: "all-MiniLM-L6-v2", ...files, out, strategy: "head" });
  const { base_kind: kind, comparisons, tables } = reportOf(out);
  const model = await acquireEncoder(await bench.open(), "all-MiniLM-L6-v2");
  const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });
  const inputs = heldOut.map(({ text }) => text);
  const parameters = { candidate_labels: ["sports", "cooking"] };
  const request = { task: "zero-shot-classification" as const, inputs, parameters };
  const { outputs } = await runner.run(zeroShotClassification, request, model, { signal: never });
  const right = outputs.filter(([best], at) => best?.label === heldOut[at]?.label);
  expect(kind).toBe("zero_shot");
  expect(comparisons[0]?.base).toBeCloseTo(right.length / heldOut.length, 10);
  expect(tables.find(({ system }) => system === "base")?.accuracy).toBe(comparisons[0]?.base);
});

it("or of the model as it was trained, with the reason, where it cannot be served here", async () => {
  const files = await writeParts(quick.slice(0, 100), quick.slice(100));
  const out = bench.local("tuned");
  bench.settings.memory = 1;
  const told = tune(bench, { model: "tiny", ...files, out, epochs: 1 });
  await expect(told).rejects.toThrow(/not measured as it is served: .*needs \d+ MiB of memory/);
  const report = reportOf(out);
  expect(report).toMatchObject({ form: "f32", latency: { base: null, tuned: null } });
  expect(report.comparisons[0]?.tuned).toEqual(expect.any(Number));
  const page = readFileSync(path.join(out, "report.html"), "utf8");
  expect(page).toMatch(/as it was trained, not as it is served/);
});
