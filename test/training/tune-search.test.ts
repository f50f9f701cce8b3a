/** A search for the options of a training: by the command, killed and gone on with. */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { CatalogBench } from "../catalog/catalog-bench.ts";
import { writeChattyDecoder } from "./chatty-decoder.ts";
import { madeTexts, reportOf, tune, writeLines } from "./tune-bench.ts";
import { openLabelledBench, tuneUntil } from "./tune-child-process.ts";

let bench: CatalogBench;
let data: string;

beforeEach(async () => {
  ({ bench } = await openLabelledBench());
  // Of any number of labels each: auto chooses no adapter, so that strategies are searched over, too.
  const lines = madeTexts(200).map((text) => ({
    text,
    label: [text.includes("quick") ? "quick" : "slow"],
  }));
  data = await writeLines(path.join(bench.folder, "labels.jsonl"), lines);
});

afterEach(() => bench.close());

const options = {
  model: "tiny",
  strategy: "auto",
  epochs: 6,
  learningRate: null,
  learningRateMultiplier: 0.2,
  trials: 4,
  seed: 3,
} as const;
const weights = (out: string) => readFileSync(path.join(out, "model.safetensors"));
const searchFile = (out: string) => path.join(out, "training-state", "search.json");
const rounds = (said: readonly string[]) => said.filter((line) => line.startsWith("round "));

/** Kills it once it has said so many trials. */
async function killAfter(out: string, trials: number): Promise<string[]> {
  const stop = { word: "round ", lines: trials, signal: "SIGKILL" } as const;
  return rounds(await tuneUntil(bench, { ...options, data, out }, stop));
}

it("says each trial, trains with the best, and is the same after kill −9", async () => {
  const whole = bench.local("whole");
  const said = rounds(await tune(bench, { ...options, data, out: whole }));
  expect(said).toHaveLength(6);
  expect(said.map((line) => line.slice(0, 12))).toEqual([
    ...Array.from({ length: 4 }, () => "round 1 of 2"),
    ...Array.from({ length: 2 }, () => "round 2 of 2"),
  ]);
  expect(reportOf(whole).comparisons[0]?.tuned).toBeGreaterThan(0.5);
  const broken = bench.local("broken");
  const before = await killAfter(broken, 2);
  const kept = JSON.parse(readFileSync(searchFile(broken), "utf8"));
  expect(kept.results.length).toBeGreaterThanOrEqual(2);
  expect(existsSync(path.join(broken, "config.json"))).toBe(false);
  const after = rounds(await tune(bench, { ...options, data, out: broken }));
  expect(after.length).toBe(6 - kept.results.length);
  expect([...before, ...after.slice(before.length + after.length - 6)]).toEqual(said);
  expect(weights(broken).equals(weights(whole))).toBe(true);
  expect(existsSync(path.join(broken, "training-state"))).toBe(false);
});

it("searches over a decoder's adapters too, and trains with the rate that did best", async () => {
  await writeChattyDecoder(bench.local("chatty"));
  const lines = Array.from({ length: 48 }, (_, at) => ({
    prompt: `w${10 + (at % 8)} w${20 + (at % 5)}`,
    completion: ` w${25 + (at % 3)}`,
  }));
  const file = await writeLines(path.join(bench.folder, "completions.jsonl"), lines);
  const out = bench.local("tuned");
  const command = { ...options, model: "chatty", data: file, out, batch: 8, trials: 3 };
  const trials = rounds(await tune(bench, command)).map((line) => {
    const [, rate = "", perplexity = ""] = /lora, rate (\S+), .*: (\S+) after/.exec(line) ?? [];
    return { rate, perplexity: Number(perplexity) };
  });
  expect(trials).toHaveLength(3);
  expect(new Set(trials.map(({ rate }) => rate)).size).toBeGreaterThan(1);
  const [best] = trials.toSorted((a, b) => a.perplexity - b.perplexity);
  expect(readFileSync(path.join(out, "README.md"), "utf8")).toContain(`AdamW at ${best?.rate} `);
  expect(existsSync(path.join(out, "adapter_model.safetensors"))).toBe(true);
});

it("searches over adapters alone where auto chose one, which learn at a rate of their own", async () => {
  const lines = madeTexts(200).map((text, at) => ({ text, label: `class ${at % 20}` }));
  const file = await writeLines(path.join(bench.folder, "classes.jsonl"), lines);
  const out = bench.local("tuned");
  const command = { ...options, data: file, out, epochs: 1, batch: 32, trials: 6 };
  const trials = rounds(await tune(bench, command));
  expect(trials.length).toBeGreaterThanOrEqual(6);
  for (const trial of trials) expect(trial).toContain("lora, rate ");
});

it("has seconds for all of it, trials included: a search ends when half of them are over", async () => {
  const out = bench.local("tuned");
  const long = { ...options, strategy: "full", epochs: 20_000, maxSeconds: 3 } as const;
  const said = await tune(bench, { ...long, data, out, trials: 32 });
  const run = rounds(said).length;
  expect(run).toBeGreaterThan(0);
  expect(run).toBeLessThan(8);
  expect(said.join("\n")).toContain(`There was time for ${run} of 8 trials`);
  expect(reportOf(out).stopped.reason).toBe("time_limit");
  expect(reportOf(out).stopped.detail).not.toMatch(/^3 seconds/);
});
