/** What is asked of a training: its options, its files, and their bounds. */
import * as z from "zod";
import { ObjectReference } from "../object-reference.ts";
import { LabelName } from "../tasks/fields.ts";
import { TrainingTask } from "./forms.ts";
import { trainingLimits } from "./limits.ts";

export const tuningBounds = {
  epochsMax: 50,
  batchMax: 256,
  layersMax: 100,
  /** No training comes to anything at a higher one. */
  learningRateMax: 10,
  learningRateMultiplierMax: 1_000,
  loraRankMax: 64,
  loraAlphaMax: 10_000,
  virtualTokensMax: 200,
  initialTextCharactersMax: 4_000,
  trialsMax: 32,
  secondsMax: 24 * 3_600,
} as const;

export const TuningStrategy = z.enum(["auto", "head", "top-k", "full", "lora", "soft-prompt"]);
export type TuningStrategy = z.infer<typeof TuningStrategy>;

/** Null: chosen by the data, the base and the seconds there are. */
export const TuningOptions = z.object({
  task: TrainingTask.nullable(),
  strategy: TuningStrategy,
  /** Of top-k. */
  layers: z.int().positive().max(tuningBounds.layersMax).nullable(),
  epochs: z.int().positive().max(tuningBounds.epochsMax).nullable(),
  batch: z.int().positive().max(tuningBounds.batchMax).nullable(),
  learningRate: z.number().positive().nullable(),
  /** Of the rate that is chosen; null: 1. */
  learningRateMultiplier: z.number().positive().nullable(),
  /** As torch.nn.CrossEntropyLoss's. */
  labelSmoothing: z
    .number()
    .nonnegative()
    .lt(1)
    .nullable()
    // Of a job that was kept before there was any.
    .default(null),
  lora: z
    .object({
      rank: z.int().positive().max(tuningBounds.loraRankMax),
      alpha: z.number().positive(),
    })
    .nullable(),
  softPrompt: z
    .object({
      virtualTokens: z.int().positive().max(tuningBounds.virtualTokensMax),
      /** What the virtual tokens begin as; null: words drawn by chance. */
      initialText: z.string().min(1).max(tuningBounds.initialTextCharactersMax).nullable(),
    })
    .nullable()
    // Of a job that was kept before there were any.
    .default(null),
  earlyStopping: z
    .object({ patience: z.int().positive(), threshold: z.number().nonnegative() })
    .nullable(),
  trials: z.int().positive().max(tuningBounds.trialsMax).nullable(),
  seed: z
    .int()
    .nonnegative()
    .max(2 ** 31 - 1),
  maxSeconds: z.number().positive().max(tuningBounds.secondsMax),
  /** Of classes, by their index. Null: those of the data, in their order. */
  labelNames: z.array(LabelName).min(1).max(trainingLimits.labelsMax).nullable().default(null),
  /** Bad examples are left out, and not the job refused. */
  skipInvalid: z.boolean(),
});
export type TuningOptions = z.infer<typeof TuningOptions>;

export const TuningFile = z.object({ filename: z.string().max(255), object: ObjectReference });
export type TuningFile = z.infer<typeof TuningFile>;
