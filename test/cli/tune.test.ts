/** `tune` as an operator calls it: its words, exit codes and files. What it trains is tested in test/training. */
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
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
  const out = bench.local("tuned");
  const ended = await tune("--out", out, "--epochs", "2");
  expect(ended.errors).toBe("Training\n");
  expect(ended.code).toBe(0);
  const lines = ended.out.trim().split("\n");
  expect(lines[0]).toMatch(/^full, 2 epochs: chosen by auto, about \d+ of 900 seconds$/);
  expect(ended.out).toMatch(/step \d+: accuracy 0\.\d{4}, loss \d/);
  expect(ended.out).toMatch(/HELD-OUT EXAMPLES +COMMONEST ANSWER +TUNED\naccuracy/);
  expect(lines.at(-1)).toBe(out);
  expect(readdirSync(out)).toContain("model.safetensors");
});

it("refuses wrong use with 2, and what cannot be trained with 1", async () => {
  const out = ["--out", bench.local("tuned")];
  for (const wrong of [
    ["--epochs", "0"],
    ["--learning-rate", "2"],
    ["--seed", "-1"],
  ]) {
    expect((await tune(...out, ...wrong)).code).toBe(2);
  }
  expect((await tune(...out, "--strategy", "prompt")).errors).toMatch(/Allowed choices are auto/);
  const missing = await tune(...out, "--validation", path.join(bench.folder, "none.jsonl"));
  expect(missing).toMatchObject({
    code: 1,
    errors: expect.stringMatching(/none\.jsonl cannot be read: ENOENT/),
  });
}, 20_000);
