/** Options of the command that decide how it is trained, told by what it says and what it writes. */
import { readFileSync } from "node:fs";
import { appendFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { type CatalogBench, openCatalogBench } from "../catalog/catalog-bench.ts";
import { writeTinyEncoder } from "../catalog/tiny-encoder.ts";
import { classify, madeTexts, reportOf, tune, writeLines } from "./tune-bench.ts";

let bench: CatalogBench;
let data: string;

beforeEach(async () => {
  bench = await openCatalogBench();
  await writeTinyEncoder(bench.local("tiny"));
  const lines = madeTexts(100).map((text) => ({ text, label: String(text.includes("quick")) }));
  data = await writeLines(path.join(bench.folder, "train.jsonl"), lines);
});

afterEach(() => bench.close());

it("leaves bad examples out where it is told to, and otherwise names them", async () => {
  await appendFile(data, 'nonsense\n{"text":"no label"}\n');
  const run = { model: "tiny", data, epochs: 1 };
  const refused = tune(bench, { ...run, out: bench.local("refused") });
  await expect(refused).rejects.toThrow(/line 101: .*\nline 102: /);
  await tune(bench, { ...run, out: bench.local("tuned"), skipInvalid: true });
  const { training_rows, held_out_rows } = reportOf(bench.local("tuned"));
  expect(training_rows + held_out_rows).toBe(100);
  const nothing = await writeLines(path.join(bench.folder, "bad.jsonl"), [{ text: "a" }]);
  const empty = tune(bench, { ...run, data: nothing, out: bench.local("x"), skipInvalid: true });
  await expect(empty).rejects.toThrow("the data cannot be trained with");
});

function rateIn(words = ""): number {
  return Number(/by AdamW at (\S+) /.exec(words)?.[1]);
}

it("multiplies the rate, whether it was given or chosen", async () => {
  const run = { model: "tiny", data, epochs: 1, learningRateMultiplier: 0.5 };
  const given = await tune(bench, { ...run, out: bench.local("given"), learningRate: 1e-2 });
  expect(given[1]).toMatch(/by AdamW at 0\.005 /);
  const chosen = await tune(bench, { ...run, out: bench.local("chosen"), learningRate: null });
  const twice = { ...run, learningRateMultiplier: 1, learningRate: null };
  const whole = await tune(bench, { ...twice, out: bench.local("whole") });
  expect(rateIn(chosen[1])).toBeCloseTo(rateIn(whole[1]) / 2, 12);
});

it("makes adapters of the rank and the weight that are asked for", async () => {
  const out = bench.local("tuned");
  await tune(bench, {
    model: "tiny",
    data,
    out,
    epochs: 1,
    strategy: "lora",
    lora: { rank: 3, alpha: 12 },
  });
  const config = JSON.parse(readFileSync(path.join(out, "adapter_config.json"), "utf8"));
  expect(config).toMatchObject({ r: 3, lora_alpha: 12 });
  const source = openSafetensors(path.join(out, "adapter_model.safetensors"));
  const reduced = source.names().filter((name) => name.endsWith("lora_A.weight"));
  expect(reduced.map((name) => source.entry(name)?.shape[0])).toEqual(reduced.map(() => 3));
  source.close();
});

it("stops after as many evaluations without such a gain as it was given", async () => {
  const out = bench.local("tuned");
  await tune(bench, { model: "tiny", data, out, epochs: 40, patience: 2, threshold: 1 });
  expect(reportOf(out).stopped).toEqual({
    reason: "early_stopping",
    detail: "no gain in 2 evaluations",
  });
});

const lossesIn = (csv: string) =>
  csv
    .trimEnd()
    .split("\n")
    .slice(1)
    .map((line) => line.split(",").map(Number));

it("smooths what is trained by, and not what is judged", async () => {
  const out = bench.local("tuned");
  const said = await tune(bench, { model: "tiny", data, out, epochs: 20, labelSmoothing: 0.8 });
  expect(said[1]).toContain("warm-up, label smoothing 0.8, in batches");
  // Of two classes 0.6 and 0.4 are wanted.
  const wanted = [0.6, 0.4];
  const entropy = wanted.reduce((sum, share) => sum - share * Math.log(share), 0);
  const [header = ""] = readFileSync(path.join(out, "metrics.csv"), "utf8").split("\n");
  const columns = header.split(",");
  const [train, valid] = [columns.indexOf("train_loss"), columns.indexOf("valid_loss")];
  const rows = lossesIn(readFileSync(path.join(out, "metrics.csv"), "utf8"));
  for (const row of rows) expect(row[train]).toBeGreaterThan(entropy - 1e-4);
  expect(rows.at(-1)?.[valid]).toBeLessThan(entropy - 0.05);
  const answers = await classify(await bench.open(), "tuned", madeTexts(20));
  for (const [best] of answers) expect(best?.score).toBeLessThan(0.75);
});

it("smooths where there are many classes, unless it is told otherwise", async () => {
  const many = madeTexts(100).map((text, at) => ({ text, label: `c${at % 20}` }));
  await writeLines(data, many);
  const run = { model: "tiny", data, epochs: 1, strategy: "lora" } as const;
  const [, plan] = await tune(bench, { ...run, out: bench.local("usual") });
  expect(plan).toContain("label smoothing 0.1, in");
  const [, told] = await tune(bench, { ...run, out: bench.local("told"), labelSmoothing: 0 });
  expect(told).not.toContain("smoothing");
});

it("smooths no head, and nothing without classes", async () => {
  const run = { model: "tiny", data, out: bench.local("x"), labelSmoothing: 0.1 };
  await expect(tune(bench, { ...run, strategy: "head" })).rejects.toThrow(
    "label smoothing is not for the strategy head",
  );
  const numbers = madeTexts(40).map((text) => ({ text, score: text.length }));
  await writeLines(data, numbers);
  await expect(tune(bench, run)).rejects.toThrow("label smoothing is for examples with one label");
});
