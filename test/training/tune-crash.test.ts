/** A training that is killed or interrupted in mid-run goes on, and ends with the weights of one that never stopped. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { TuneCommand } from "../../gpu-worker/cli/tune.ts";
import type { CatalogBench } from "../catalog/catalog-bench.ts";
import { writeChattyDecoder } from "./chatty-decoder.ts";
import { reportOf, tune, writeLines } from "./tune-bench.ts";
import { openLabelledBench, tuneUntil } from "./tune-child-process.ts";

let bench: CatalogBench;
let data: string;

beforeEach(async () => {
  ({ bench, data } = await openLabelledBench());
});

afterEach(() => bench.close());

type Options = Partial<TuneCommand> & Pick<TuneCommand, "model">;

const options: Options = {
  model: "tiny",
  epochs: 40,
  labelSmoothing: 0.1,
  saveSeconds: 0,
  seed: 5,
};
const tuned = (out: string) => readFileSync(path.join(out, "model.safetensors"));
const adapterOf = (out: string) => readFileSync(path.join(out, "adapter_model.safetensors"));
const metrics = (out: string) => readFileSync(path.join(out, "metrics.csv"), "utf8");
const stateOf = (out: string) => path.join(out, "training-state", "state.json");

type Stopped = { out: string; evaluations: number; signal: "SIGKILL" | "SIGINT" };

/** Runs it until it has said so many evaluations, then sends the signal. */
async function stopAfter({ out, evaluations, signal }: Stopped, given: Options = options) {
  const stop = { word: "step ", lines: evaluations, signal };
  await tuneUntil(bench, { ...given, data, out }, stop);
  expect(existsSync(stateOf(out))).toBe(true);
  expect(existsSync(path.join(out, "config.json"))).toBe(false);
  expect(existsSync(path.join(out, "adapter_config.json"))).toBe(false);
}

it("ends the same to the bit after kill −9, twice, and an interruption", async () => {
  const whole = bench.local("whole");
  await tune(bench, { ...options, data, out: whole, saveSeconds: 60 });
  const broken = bench.local("broken");
  await stopAfter({ out: broken, evaluations: 3, signal: "SIGKILL" });
  await stopAfter({ out: broken, evaluations: 6, signal: "SIGKILL" });
  await stopAfter({ out: broken, evaluations: 4, signal: "SIGINT" });
  const said = await tune(bench, { ...options, data, out: broken });
  expect(said[0]).toMatch(/^goes on after step \d+$/);
  expect(tuned(broken).equals(tuned(whole))).toBe(true);
  expect(metrics(broken)).toBe(metrics(whole));
  expect(readdirSync(broken)).toEqual(readdirSync(whole));
});

it("so does a decoder's adapter", async () => {
  await writeChattyDecoder(bench.local("chatty"));
  const lines = Array.from({ length: 40 }, (_, at) => ({
    messages: [
      { role: "user", content: `w${10 + (at % 8)} w${20 + (at % 5)}` },
      { role: "assistant", content: `w${25 + (at % 10)}` },
    ],
  }));
  data = await writeLines(path.join(bench.folder, "chats.jsonl"), lines);
  const chat = { model: "chatty", strategy: "lora", epochs: 10, batch: 8, seed: 3 } as const;
  const [whole, broken] = [bench.local("whole"), bench.local("broken")];
  await tune(bench, { ...chat, data, out: whole });
  const killed = { ...chat, saveSeconds: 0 };
  await stopAfter({ out: broken, evaluations: 3, signal: "SIGKILL" }, killed);
  const said = await tune(bench, { ...killed, data, out: broken });
  expect(said[0]).toMatch(/^goes on after step \d+$/);
  expect(adapterOf(broken).equals(adapterOf(whole))).toBe(true);
  expect(metrics(broken)).toBe(metrics(whole));
  // All but the name and the times that rows took.
  const { tuned_model: _, latency: __, ...figures } = reportOf(whole);
  expect(reportOf(broken)).toMatchObject(figures);
});

it("does not go on with other data, another seed or another base", async () => {
  const out = bench.local("tuned");
  await stopAfter({ out, evaluations: 2, signal: "SIGINT" });
  const other = tune(bench, { ...options, data, out, seed: 6 });
  await expect(other).rejects.toThrow("holds the state of another training");
});

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

it("keeps what it has trained where it is interrupted after its last step", async () => {
  const out = bench.local("tuned");
  const interruption = new AbortController();
  const short = { ...options, epochs: 2, saveSeconds: 60, data, out };
  let last = "";
  const told = tune(bench, short, interruption.signal, (line) => {
    last = /\((\d+) steps\)/.exec(line)?.[1] ?? last;
    if (line.startsWith(`step ${last}:`)) interruption.abort(new Error("stopped"));
  });
  await expect(told).rejects.toThrow("stopped");
  const said = await tune(bench, short);
  expect(said[0]).toBe(`goes on after step ${last}`);
  expect(said.some((line) => line.startsWith("step "))).toBe(false);
});

it("ends with the best it has when its seconds are over", async () => {
  const out = bench.local("tuned");
  const said = await tune(bench, { ...options, data, out, epochs: 5_000, maxSeconds: 1 });
  expect(said.at(-2)).toMatch(
    /^Ended because the time was used up: .*(1 second had passed|there is time) .* of 50000 steps/,
  );
  expect(existsSync(path.join(out, "config.json"))).toBe(true);
});
