/** A training that is killed or interrupted in mid-run goes on, and ends with the weights of one that never stopped. */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type CatalogBench, openCatalogBench } from "../catalog/catalog-bench.ts";
import { writeTinyEncoder } from "../catalog/tiny-encoder.ts";
import { madeTexts, tune, usualCommand, writeLines } from "./tune-bench.ts";

let bench: CatalogBench;
let data: string;

beforeEach(async () => {
  bench = await openCatalogBench();
  await writeTinyEncoder(bench.local("tiny"));
  const lines = madeTexts(200).map((text) => ({ text, label: String(text.includes("quick")) }));
  data = await writeLines(path.join(bench.folder, "train.jsonl"), lines);
});

afterEach(() => bench.close());

const options = { model: "tiny", epochs: 40, saveSeconds: 0, seed: 5 };
const tuned = (out: string) => readFileSync(path.join(out, "model.safetensors"));
const metrics = (out: string) => readFileSync(path.join(out, "metrics.csv"), "utf8");
const stateOf = (out: string) => path.join(out, "training-state", "state.json");

/** Runs it until it has said so many evaluations, then sends the signal. */
async function stopAfter(out: string, evaluations: number, signal: "SIGKILL" | "SIGINT") {
  const command = { ...usualCommand, ...options, data, out };
  const script = path.join(import.meta.dirname, "tune-child.ts");
  const words = [script, JSON.stringify({ settings: bench.settings, command })];
  const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "ignore"] });
  let said = "";
  child.stdout.on("data", (bytes: Buffer) => {
    said += String(bytes);
    if (said.split("step ").length > evaluations) child.kill(signal);
  });
  await new Promise((resolve) => child.once("close", resolve));
  expect(existsSync(stateOf(out))).toBe(true);
  expect(existsSync(path.join(out, "config.json"))).toBe(false);
}

it("ends the same to the bit after kill −9, twice, and an interruption", async () => {
  const whole = bench.local("whole");
  await tune(bench, { ...options, data, out: whole, saveSeconds: 60 });
  const broken = bench.local("broken");
  await stopAfter(broken, 3, "SIGKILL");
  await stopAfter(broken, 6, "SIGKILL");
  await stopAfter(broken, 4, "SIGINT");
  const said = await tune(bench, { ...options, data, out: broken });
  expect(said[0]).toMatch(/^goes on after step \d+$/);
  expect(tuned(broken).equals(tuned(whole))).toBe(true);
  expect(metrics(broken)).toBe(metrics(whole));
  expect(readdirSync(broken)).toEqual(readdirSync(whole));
}, 60_000);

it("does not go on with other data, another seed or another base", async () => {
  const out = bench.local("tuned");
  await stopAfter(out, 2, "SIGINT");
  const other = tune(bench, { ...options, data, out, seed: 6 });
  await expect(other).rejects.toThrow("holds the state of another training");
}, 60_000);

it("stops before the next step once it is told to, with its state saved", async () => {
  const out = bench.local("tuned");
  const interruption = new AbortController();
  const told = tune(bench, { ...options, data, out }, interruption.signal, (line) => {
    if (line.startsWith("step 20:")) interruption.abort(new Error("stopped"));
  });
  await expect(told).rejects.toThrow("stopped");
  const state = JSON.parse(readFileSync(stateOf(out), "utf8"));
  expect(state.progress.step).toBe(20);
});

it("ends with the best it has when its seconds are over", async () => {
  const out = bench.local("tuned");
  const said = await tune(bench, { ...options, data, out, epochs: 5_000, maxSeconds: 1 });
  expect(said.at(-2)).toMatch(
    /^time_limit: 1 seconds (were over after|are enough for) \d+ of 50000 steps/,
  );
  expect(existsSync(path.join(out, "config.json"))).toBe(true);
});
