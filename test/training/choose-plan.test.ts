/** What is chosen for how much data, time and memory there is, for a MiniLM on two cores. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { choosePlan, MemoryError, type Wishes } from "../../gpu-worker/training/choose-plan.ts";
import {
  chooseTraining,
  type PreparedTraining,
  type TuningOptions,
  wishesOf,
} from "../../gpu-worker/training/prepare-training.ts";
import {
  type CostFacts,
  estimateBytes,
  estimateSeconds,
} from "../../gpu-worker/training/training-cost.ts";
import { learningRateAt, planTraining } from "../../gpu-worker/training/training-plan.ts";

const sizes = {
  layers: 6,
  hidden: 384,
  intermediate: 1536,
  heads: 12,
  parameters: 22_713_216,
};

function facts(examples: number, tokens = 32): CostFacts {
  const lengths = (count: number) => Array.from({ length: count }, () => tokens);
  return { ...sizes, lengths: { training: lengths(examples), heldOut: lengths(200) } };
}

const auto: Wishes = {
  strategy: null,
  epochs: null,
  learningRate: null,
  layers: 2,
  batch: 32,
  maxSeconds: 900,
  headFits: true,
  isTagging: false,
  adapterGains: false,
  adapterExamples: null,
};
const chosen = (maxSeconds: number) => choosePlan(facts(8_000), { ...auto, maxSeconds }, limits);
const bytes = (batch: number, strategy: "full" | "top-k") =>
  estimateBytes(facts(100, 256), { strategy, layers: 1, epochs: 1, batch });
const limits = { gemmRate: 180e9, memoryBytes: 8e9 };

it("trains all layers where there is time, the longer the fewer examples there are", () => {
  expect(choosePlan(facts(500), auto, limits)).toMatchObject({ strategy: "full", epochs: 20 });
  expect(choosePlan(facts(3_000), auto, limits)).toMatchObject({ strategy: "full", epochs: 18 });
  expect(choosePlan(facts(20_000, 12), auto, limits)).toMatchObject({
    strategy: "full",
    epochs: 3,
  });
  expect(choosePlan(facts(60_000, 12), auto, limits)).toMatchObject({
    strategy: "full",
    epochs: 1,
  });
});

it("passes over the examples less often, then trains fewer layers, then a head alone", () => {
  const order = [900, 600, 300, 100, 50].map((seconds) => chosen(seconds));
  const words = order.map(({ strategy, epochs }) => `${strategy} ${epochs}`);
  expect(words).toEqual(["full 6", "full 4", "full 2", "top-k 1", "head 8"]);
  for (const seconds of [900, 600, 300, 100, 50]) {
    expect(chosen(seconds).seconds).toBeLessThanOrEqual(seconds);
  }
});

it("tags at a higher rate than texts, adapters at a rate of their own", () => {
  // CoNLL-2003: sentences of 20 tokens.
  const tags = { ...auto, headFits: false, isTagging: true };
  const slow = { ...limits, gemmRate: 133e9 };
  const plan = choosePlan(facts(14_041, 20), tags, slow);
  expect(plan).toMatchObject({ strategy: "full", epochs: 4 });
  expect(plan.learningRate).toBeCloseTo(3e-4);
  const lora = choosePlan(facts(14_041, 20), { ...tags, strategy: "lora" }, limits);
  expect(lora.learningRate).toBeCloseTo(1e-3);
});

it("trains an adapter where that learns more, at its own rate", () => {
  const relations = { ...auto, headFits: false, adapterGains: true };
  const plan = choosePlan(facts(5_400), relations, limits);
  expect(plan).toMatchObject({ strategy: "lora", epochs: 11 });
  expect(plan.learningRate).toBeCloseTo(1e-3);
  expect(choosePlan(facts(5_400), { ...relations, adapterExamples: 27_000 }, limits).epochs).toBe(
    5,
  );
  const little = { ...auto, adapterGains: true, maxSeconds: 10 };
  const hurried = choosePlan(facts(5_400), little, limits);
  expect(hurried).toMatchObject({ strategy: "head" });
  // A head has no smoothing, and what was asked for is not left out in silence.
  const smoothed = choosePlan(facts(5_400), { ...little, labelSmoothing: 0.1 }, limits);
  expect(smoothed).toMatchObject({ strategy: "lora", epochs: 1 });
  expect(hurried.learningRate).toBeCloseTo(2e-4);
  const full = choosePlan(facts(5_400), { ...relations, strategy: "full" }, limits);
  expect(full).toMatchObject({ strategy: "full" });
});

it("keeps to what was asked for", () => {
  const asked = {
    ...auto,
    strategy: "full",
    epochs: 7,
    learningRate: 1e-5,
    maxSeconds: 1,
  } as const;
  expect(choosePlan(facts(8_000), asked, limits)).toMatchObject({
    strategy: "full",
    epochs: 7,
    learningRate: 1e-5,
  });
  const pairs = choosePlan(facts(8_000), { ...auto, maxSeconds: 1, headFits: false }, limits);
  expect(pairs).toMatchObject({ strategy: "top-k", epochs: 1 });
});

it("refuses what memory is too small for, and says what would take less", () => {
  const full = { ...auto, strategy: "full", batch: 512 } as const;
  const refused = () => choosePlan(facts(1_000, 256), full, { ...limits, memoryBytes: 2e9 });
  expect(refused).toThrow(MemoryError);
  expect(refused).toThrow(/about \d+ MB of memory and there are 2000 MB: lower --batch/);
  expect(bytes(64, "full")).toBeGreaterThan(bytes(32, "full"));
  expect(bytes(32, "full")).toBeGreaterThan(bytes(32, "top-k"));
});

it("warms up, falls evenly, and takes no step at rate 0", () => {
  const options = { strategy: "full", layers: 2, epochs: 2, batch: 10, seed: 0 } as const;
  const plan = planTraining({ ...options, learningRate: 1, maxSeconds: 9 }, 495);
  expect(plan).toMatchObject({ steps: 100, warmup: 6, evaluateEvery: 20, patience: 3 });
  const rates = Array.from({ length: plan.steps }, (_, step) => learningRateAt(plan, step));
  expect(rates[0]).toBeCloseTo(1 / 6);
  expect(rates[5]).toBe(1);
  expect(rates.at(-1)).toBeCloseTo(1 / 95);
  expect(rates.every((rate) => rate > 0 && rate <= 1)).toBe(true);
});

const config: unknown = JSON.parse(
  readFileSync("gpu-worker/catalog/embedded/all-MiniLM-L6-v2/config.json", "utf8"),
);

/** What is chosen of a choice by: so many texts with one label of two, or with any number. */
function ofTexts(examples: number, problem: "single_label" | "multi_label"): PreparedTraining {
  const part = { texts: ["a text"], targets: { problem } };
  const data = { task: "text-classification", problem, labels: ["a", "b"] };
  return {
    kind: "encoder",
    data: { task: "text-classification", data: { training: part, heldOut: part } },
    prepared: { checkpoint: { head: { name: "none" }, config }, data, facts: facts(examples, 12) },
  } as unknown as PreparedTraining;
}

const nothingAsked: TuningOptions = {
  task: null,
  strategy: "auto",
  layers: null,
  epochs: null,
  learningRate: null,
  learningRateMultiplier: 1,
  lora: null,
  patience: null,
  threshold: 0,
  skipInvalid: false,
  batch: null,
  seed: 0,
  maxSeconds: 900,
};

function choose(examples: number, problem: "single_label" | "multi_label") {
  return chooseTraining(ofTexts(examples, problem), wishesOf(nothingAsked), limits);
}

it("adapters are for up to 20,000 texts with one label each, for which they go through fewer", () => {
  expect(choose(400, "single_label")).toMatchObject({ strategy: "lora", epochs: 20 });
  expect(choose(9_000, "single_label")).toMatchObject({ strategy: "lora", epochs: 3 });
  expect(choose(20_000, "single_label").strategy).toBe("lora");
  expect(choose(20_001, "single_label").strategy).toBe("full");
  expect(choose(400, "multi_label").strategy).toBe("full");
});

const estimate = (strategy: "full" | "lora", readsFirst: boolean) => {
  const options = { strategy, layers: 1, epochs: 1, batch: 32 };
  return estimateSeconds({ ...facts(50_000), readsFirst }, options, limits.gemmRate);
};

it("a class is told from first tokens, of which alone the last layer is counted", () => {
  // Keys and values are a sixth of a layer, which is a sixth of the model; the optimizer's part stays.
  const share = estimate("full", true) / estimate("full", false);
  expect(share).toBeGreaterThan(1 - 5 / 36);
  expect(share).toBeLessThan(0.95);
  expect(estimate("lora", true)).toBe(estimate("lora", false));
});
