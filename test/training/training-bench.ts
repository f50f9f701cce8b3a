/** What tests of steps have in common: a runtime and a folder, the usual optimizer, a small tagger with its weights. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll } from "vitest";
import { gradient } from "../../gpu-worker/autodiff/gradient.ts";
import { adamW } from "../../gpu-worker/autodiff/optimizers/adam-w.ts";
import type { Graph } from "../../gpu-worker/onnx/graph.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { Runtime } from "../../gpu-worker/runtime/session.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";
import { openTrainStep } from "../../gpu-worker/training/train-step.ts";
import type { TrainStep, TrainStepOptions } from "../../gpu-worker/training/train-step.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import type { WeightSource } from "../../gpu-worker/weights/weight-source.ts";

const tagger = path.join(import.meta.dirname, "../architectures/checkpoints/bert-tokens");

export function openTagger() {
  const config: unknown = JSON.parse(readFileSync(path.join(tagger, "config.json"), "utf8"));
  return { config, weights: openSafetensors(path.join(tagger, "model.safetensors")) };
}

/** Of one file's tests: what it opens is released after them. */
export class TrainingBench {
  readonly #open: TrainStep[] = [];
  #runtime: Runtime | null = null;
  #folder = "";

  /** @param threads default: as many as there are cores */
  constructor(threads?: number) {
    beforeAll(async () => {
      const log = { info: () => undefined, warn: () => undefined };
      const given = threads === undefined ? {} : { threads };
      this.#runtime = await openRuntime({ log, only: "c-api", poolThreads: 1, ...given });
      this.#folder = mkdtempSync(path.join(tmpdir(), "training-"));
    });
    afterAll(async () => {
      for (const training of this.#open) await training.release();
      rmSync(this.#folder, { recursive: true, force: true });
    });
  }

  get folder(): string {
    return this.#folder;
  }

  /** Held open until it is released, at the latest after all tests. */
  async train(
    options: Omit<TrainStepOptions, "runtime" | "folder"> & { folder?: string },
  ): Promise<TrainStep> {
    if (this.#runtime === null) throw new Error("no test runs yet");
    const whole = { folder: this.#folder, ...options, runtime: this.#runtime };
    const training = await openTrainStep(whole);
    this.#open.push(training);
    return training;
  }
}

/** Steps of AdamW as transformers' Trainer takes them: biases and norms do not decay, gradients are clipped at 1. */
export function trainerSteps(forward: Graph, weights: WeightSource): Graph {
  const parameters = forward.inputs.flatMap(({ name }) => (weights.entry(name) ? [name] : []));
  const plain = parameters.filter((name) => name.endsWith("bias") || name.includes("LayerNorm"));
  const decayed = parameters.filter((name) => !plain.includes(name));
  return adamW(gradient(forward, { loss: "loss", parameters }), {
    groups: [
      { parameters: decayed, weightDecay: 0.01 },
      { parameters: plain, weightDecay: 0 },
    ],
    maxNorm: 1,
  });
}

export function elementsOf(tensor: Tensor | undefined): Float32Array {
  if (tensor?.dtype !== "float32") throw new TypeError("not f32");
  return tensor.data;
}
