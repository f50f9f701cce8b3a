/** Adapters and soft prompts that were tuned here, read by PEFT: the same logits. */
import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import * as z from "zod";
import { decoderOf } from "../../gpu-worker/architectures/decoder.ts";
import { usualSoftPrompt } from "../../gpu-worker/training/training-plan.ts";
import { type CatalogBench, openCatalogBench } from "../catalog/catalog-bench.ts";
import { writeTinyDecoder } from "../catalog/tiny-decoder.ts";
import { peerPython } from "../peer-python.ts";
import { openAnswers } from "./chatty-decoder.ts";
import { tune, writeLines } from "./tune-bench.ts";

const python = peerPython({
  modules: ["torch", "transformers", "peft"],
  what: "a tuned decoder's adapter beside PEFT",
  script: "install-python.sh",
  folder: "peft",
});
let bench: CatalogBench;

beforeEach(async () => {
  bench = await openCatalogBench();
});

afterEach(() => bench.close());

const bases = ["llama-all-biases", "qwen3-yarn-tied-bf16", "gemma3-old-form"] as const;
const cases = bases.flatMap((name) =>
  (["lora", "soft-prompt"] as const).map((strategy) => [strategy, name] as const),
);

it.skipIf(python === null).each(cases)("%s on %s", async (strategy, name) => {
  const base = bench.local("tiny");
  await writeTinyDecoder(base, name);
  const config = await readFile(path.join(base, "config.json"), "utf8");
  const { vocabulary } = decoderOf(JSON.parse(config));
  const lines = Array.from({ length: 12 }, (_, at) => ({
    prompt: `w${6 + at} w${7 + at}`,
    completion: ` w${30 - at}`,
  }));
  const data = await writeLines(path.join(bench.folder, "train.jsonl"), lines);
  const out = bench.local("tuned");
  const rate = strategy === "lora" ? null : 0.1;
  await tune(bench, { model: "tiny", data, out, strategy, epochs: 5, learningRate: rate });
  const texts = [
    [1, 6, 7],
    [1, 9, 10, 4, 12],
  ];
  const script = path.join(import.meta.dirname, "peft_logits.py");
  const words = [script, base, out, JSON.stringify(texts)];
  const printed = execFileSync(python ?? "", words, { stdio: ["ignore", "pipe", "ignore"] });
  const expected = z.array(z.array(z.array(z.number()))).parse(JSON.parse(String(printed)));
  const count = strategy === "lora" ? 0 : usualSoftPrompt.virtualTokens;
  const virtual = Array.from({ length: count }, (_, at) => vocabulary + at);
  const [tuned, plain] = [await openAnswers(base, out), await openAnswers(base, null)];
  let [apart, moved] = [0, 0];
  for (const [at, ids] of texts.entries()) {
    const rows = (await tuned.logits([...virtual, ...ids])).slice(virtual.length).flat();
    const before = (await plain.logits(ids)).flat();
    const own = expected[at]?.flat() ?? [];
    expect(rows).toHaveLength(own.length);
    for (const [index, logit] of rows.entries()) {
      apart = Math.max(apart, Math.abs(logit - (own[index] ?? NaN)));
      moved = Math.max(moved, Math.abs(logit - (before[index] ?? NaN)));
    }
  }
  await tuned.release();
  await plain.release();
  console.info(
    `${strategy} on ${name}: ${apart.toExponential(1)} apart, moved by ${moved.toFixed(2)}`,
  );
  expect(apart).toBeLessThan(1e-3);
  expect(moved).toBeGreaterThan(0.1);
});
