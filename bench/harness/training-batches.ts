/** What both sides of bench/train.ts are given: a checkpoint, and batches of token ids with what is right. */
import * as z from "zod";

const Grid = z.array(z.array(z.int()));

export const TrainingOrder = z.object({
  /** Of the f32 checkpoint, as transformers saves it. */
  folder: z.string(),
  task: z.enum(["sequence-classification", "token-classification"]),
  classes: z.int().positive(),
  threads: z.int().positive(),
  learningRate: z.number().positive(),
  /** `labels` [batch], or [batch, sequence] of tokens, −100 where none counts. */
  batches: z.array(z.object({ ids: Grid, mask: Grid, labels: z.union([z.array(z.int()), Grid]) })),
  /** No further step is begun after so many. */
  secondsMax: z.number().positive(),
});
export type TrainingOrder = z.infer<typeof TrainingOrder>;

export const TrainingFigures = z.object({
  /** Of each step, in order; the first lays memory out. */
  seconds: z.array(z.number()),
  losses: z.array(z.number()),
  /** Of all steps, of all threads. */
  cpuSeconds: z.number(),
  /** The most that the process had in RAM. */
  peakBytes: z.number(),
});
export type TrainingFigures = z.infer<typeof TrainingFigures>;
