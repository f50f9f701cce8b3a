/** Says what a tuning job would do and cost, from its files and its base. Asked for by the platform itself. */
import * as z from "zod";
import { defineTask } from "../task.ts";
import { TuningFile, TuningOptions } from "../training/tuning-options.ts";
import { TuningPlan } from "../training/tuning-plan.ts";
import { fileCheck } from "./file-check.ts";

const { output: file } = fileCheck.example;

export const tuningPlan = defineTask({
  summary: "Plan a tuning job",
  internal: true,
  example: {
    model: "all-MiniLM-L6-v2",
    input: {
      training: {
        filename: "train.jsonl",
        object: { key: "files/file-0", bytes: 460, sha256: "0".repeat(64) },
      },
      validation: null,
      start: null,
      options: {
        task: null,
        strategy: "auto",
        layers: null,
        epochs: null,
        batch: null,
        learningRate: null,
        learningRateMultiplier: null,
        labelSmoothing: null,
        lora: null,
        softPrompt: null,
        earlyStopping: null,
        trials: null,
        seed: 7,
        maxSeconds: 900,
        labelNames: null,
        skipInvalid: false,
      },
    },
    parameters: {},
    output: {
      training: file,
      validation: null,
      leakage: null,
      split: { training_examples: 8, held_out_examples: 2 },
      settings: {
        strategy: "full",
        layers: null,
        lora: null,
        virtual_tokens: null,
        n_epochs: 20,
        batch_size: 32,
        learning_rate: 0.0002,
        label_smoothing: 0,
        steps: 20,
      },
      estimate: {
        seconds: 2.5,
        units: 960,
        memory_bytes: 1_100_000_000,
        memory_available_bytes: 8_000_000_000,
        examples_measured: 10,
      },
      error: null,
      warnings: [],
    },
    tokens: 0,
  },
  input: z.object({
    training: TuningFile,
    validation: TuningFile.nullable(),
    /** What it would go on from: a tuned model of this kind. Null: from the base itself. */
    start: z.enum(["adapter", "checkpoint"]).nullable(),
    options: TuningOptions,
  }),
  parameters: z.strictObject({}),
  output: TuningPlan,
  reads: () => [],
  huggingFace: null,
});
