/** Where what a checkpoint lacks begins: names and values as transformers and PEFT have them. */
import { describe, expect, it } from "vitest";
import { float32 } from "../../gpu-worker/tensor/tensor.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";
import {
  loraScale,
  newAdapters,
  newLayer,
  newPrompt,
  newWordShapes,
} from "../../gpu-worker/training/start-tensors.ts";
import { layeredWeights, memoryWeights } from "../../gpu-worker/weights/memory-weights.ts";
import { numbers } from "../onnx/run-graph.ts";

/** Evenly distributed, 0 ≤ x < 1. */
function random(): () => number {
  const drawn = numbers(100_000, 9);
  let at = 0;
  return () => ((drawn[at++] ?? 0) + 1) / 2;
}

const zeros = (...shape: number[]) =>
  float32(shape, new Float32Array(shape.reduce((product, length) => product * length, 1)));

function elementsOf(tensor: Tensor | undefined): number[] {
  if (tensor?.dtype !== "float32") throw new TypeError("not f32");
  return Array.from(tensor.data);
}

const checkpoint = memoryWeights(
  new Map<string, Tensor>([
    ["layer.0.query.weight", zeros(6, 400)],
    ["layer.0.query.bias", zeros(6)],
    ["layer.0.my_query.weight", zeros(6, 400)],
    ["bert.layer.1.value.weight", zeros(8, 400)],
    ["layer.0.norm.weight", zeros(6)],
    ["words.weight", float32([3, 2], [0, 1, 10, 11, 20, 21])],
  ]),
);

describe("adapters of low rank", () => {
  const adapters = newAdapters(
    checkpoint,
    { rank: 4, targets: ["query", "value", "norm"], prefix: "bert." },
    random(),
  );

  it("have PEFT's names and shapes, for linear layers whose whole last name is a target", () => {
    const shapes = Object.fromEntries([...adapters].map(([name, { shape }]) => [name, shape]));
    expect(shapes).toEqual({
      "base_model.model.bert.layer.0.query.lora_A.weight": [4, 400],
      "base_model.model.bert.layer.0.query.lora_B.weight": [6, 4],
      "base_model.model.bert.layer.1.value.lora_A.weight": [4, 400],
      "base_model.model.bert.layer.1.value.lora_B.weight": [8, 4],
    });
  });

  it("begin as nothing, with A even between ±1/√inputs", () => {
    const down = elementsOf(adapters.get("base_model.model.bert.layer.0.query.lora_A.weight"));
    expect(Math.max(...down)).toBeLessThan(0.05);
    expect(Math.max(...down)).toBeGreaterThan(0.0495);
    expect(Math.min(...down)).toBeLessThan(-0.0495);
    const up = elementsOf(adapters.get("base_model.model.bert.layer.0.query.lora_B.weight"));
    expect(new Set(up)).toEqual(new Set([0]));
  });

  it("are refused for layers that are not there", () => {
    const none = { rank: 4, targets: ["c_attn"], prefix: "" };
    expect(() => newAdapters(checkpoint, none, random())).toThrow(
      "no linear layer is named c_attn",
    );
  });

  it("are scaled by alpha / r, or alpha / √r", () => {
    expect(loraScale({ rank: 16, alpha: 32 })).toBe(2);
    expect(loraScale({ rank: 16, alpha: 32, rankStabilised: true })).toBe(8);
  });
});

describe("new tensors", () => {
  it("of a classifier are normal, of deviation 0.02", () => {
    const layer = newLayer("classifier", { inputs: 200, outputs: 50 }, random());
    const weights = elementsOf(layer.get("classifier.weight"));
    const mean = weights.reduce((a, b) => a + b, 0) / weights.length;
    const square = weights.reduce((sum, weight) => sum + weight ** 2, 0) / weights.length;
    expect(Math.abs(mean)).toBeLessThan(1e-3);
    expect(Math.sqrt(square)).toBeCloseTo(0.02, 3);
    expect(layer.get("classifier.bias")).toEqual(zeros(50));
  });

  it("of virtual tokens are words of the vocabulary", () => {
    const prompt = newPrompt(checkpoint, { table: "words.weight", tokens: 5 }, random());
    const { shape } = prompt.get("prompt_embeddings") ?? {};
    expect(shape).toEqual([5, 2]);
    const vectors = elementsOf(prompt.get("prompt_embeddings"));
    for (const [at, element] of vectors.entries()) expect(element % 10).toBe(at % 2);
  });

  it("of word shapes change nothing", () => {
    expect(newWordShapes(4)).toEqual(
      new Map([["embeddings.word_shape_embeddings.weight", zeros(9, 4)]]),
    );
  });

  it("are read in the place of a checkpoint's, or beside them", () => {
    const over = memoryWeights(
      new Map([
        ["words.weight", float32([1], [7])],
        ["more", float32([1], [8])],
      ]),
    );
    const both = layeredWeights(over, checkpoint);
    expect(both.read("words.weight")).toEqual(float32([1], [7]));
    expect(both.entry("words.weight")?.shape).toEqual([1]);
    expect(both.read("layer.0.norm.weight")).toEqual(zeros(6));
    expect(both.names()).toEqual([...checkpoint.names(), "more"]);
    expect(both.entry("neither")).toBeNull();
    expect(() => both.read("neither")).toThrow('there is no tensor "neither"');
  });
});
