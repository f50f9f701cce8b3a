/** `tune` as an operator calls it: its words, exit codes and files. What it trains is tested in test/training. */
import { execFile } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type CatalogBench, openCatalogBench } from "../catalog/catalog-bench.ts";
import { writeTinyEncoder } from "../catalog/tiny-encoder.ts";
import { madeTexts, writeLines } from "../training/tune-bench.ts";

const root = path.resolve(import.meta.dirname, "../..");
let bench: CatalogBench;
let data: string;

beforeEach(async () => {
  bench = await openCatalogBench();
  await writeTinyEncoder(bench.local("tiny"));
  const lines = madeTexts(60).map((text) => ({ text, label: String(text.includes("quick")) }));
  data = await writeLines(path.join(bench.folder, "train.jsonl"), lines);
});

afterEach(() => bench.close());

type Ended = { code: number; out: string; errors: string };

function tune(...parameters: string[]): Promise<Ended> {
  const script = path.join(root, "gpu-worker/cli/model.ts");
  const models = path.join(bench.folder, "models");
  const state = bench.settings.stateFolder;
  const env = { ...process.env, LLM_OS_STATE: state, LLM_OS_MODELS: models };
  const words = [script, "tune", "--model", "tiny", "--data", data, ...parameters];
  return new Promise((resolve) => {
    const child = execFile(process.execPath, words, { cwd: root, env }, (_, out, errors) =>
      resolve({ code: child.exitCode ?? -1, out, errors }),
    );
  });
}

it("says what it chose, how it goes and how good it came out", async () => {
  const lines = madeTexts(60).map((text) => ({ text, label: text.includes("quick") ? "1" : "0" }));
  await writeLines(data, lines);
  const out = bench.local("tuned");
  const names = ["--label-names", "slow", "quick", "neither"];
  const ended = await tune("--out", out, "--strategy", "full", "--epochs", "2", ...names);
  expect(ended.errors).toBe("Training\n");
  expect(ended.code).toBe(0);
  expect(ended.out).toMatch(/no example has the label "neither" of --label-names/);
  const said = ended.out.trim().split("\n");
  const config = JSON.parse(readFileSync(path.join(out, "config.json"), "utf8"));
  expect(config.id2label).toEqual({ 0: "slow", 1: "quick", 2: "neither" });
  expect(said.find((line) => line.startsWith("full"))).toMatch(
    /^full, 2 epochs: about \d+ of 900 seconds$/,
  );
  expect(ended.out).toMatch(/step \d+: accuracy 0\.\d{4}, loss \d/);
  expect(ended.out).toMatch(/HELD-OUT EXAMPLES +COMMONEST ANSWER +TUNED\naccuracy/);
  expect(said.at(-1)).toBe(out);
  expect(readdirSync(out)).toContain("model.safetensors");
});

it("refuses wrong use with 2, and what cannot be trained with 1", async () => {
  const out = ["--out", bench.local("tuned")];
  for (const wrong of [
    ["--epochs", "0"],
    ["--learning-rate", "2"],
    ["--seed", "-1"],
    ["--label-names", "no", "no"],
  ]) {
    expect((await tune(...out, ...wrong)).code).toBe(2);
  }
  const short = await tune(...out, "--label-names", "true");
  expect(short).toMatchObject({
    code: 1,
    errors: expect.stringMatching(/^--label-names has no "false", which the examples have/),
  });
  expect((await tune(...out, "--strategy", "prompt")).errors).toMatch(/Allowed choices are auto/);
  const missing = await tune(...out, "--validation", path.join(bench.folder, "none.jsonl"));
  expect(missing).toMatchObject({
    code: 1,
    errors: expect.stringMatching(/none\.jsonl cannot be read: ENOENT/),
  });
});
