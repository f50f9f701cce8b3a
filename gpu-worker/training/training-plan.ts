/** What a training will do, decided before it starts: kept with its state, so that one that goes on goes on alike. */
import * as z from "zod";
import { scheduleFactor } from "../autodiff/optimizers/schedules.ts";

export const strategies = ["head", "top-k", "full", "lora", "soft-prompt"] as const;

/** Whether the base stays as it is, and what is trained is kept beside it. */
export function isAdapterStrategy(strategy: TrainingPlan["strategy"]): boolean {
  return strategy === "lora" || strategy === "soft-prompt";
}

/** Of adapters of low rank, see `loraScale`. */
export const LoraSizes = z.object({ rank: z.int().positive(), alpha: z.number().positive() });
export type LoraSizes = z.infer<typeof LoraSizes>;

export const usualLora: LoraSizes = { rank: 8, alpha: 16 };

export const SoftPromptStart = z.object({
  virtualTokens: z.int().positive(),
  /** Null: words drawn by chance. */
  initialText: z.string().nullable(),
});
export type SoftPromptStart = z.infer<typeof SoftPromptStart>;

/** PEFT's examples have as many; Lester et al. gained little beyond. */
export const usualSoftPrompt: SoftPromptStart = { virtualTokens: 20, initialText: null };

export const TrainingPlan = z.object({
  strategy: z.enum(strategies),
  /** Layers that are trained, counted from the last, of top-k. */
  layers: z.int().nonnegative(),
  /** Of lora. */
  lora: LoraSizes.default(usualLora),
  /** Of soft-prompt. */
  softPrompt: SoftPromptStart.default(usualSoftPrompt),
  epochs: z.int().positive(),
  /** Examples. */
  batch: z.int().positive(),
  learningRate: z.number().positive(),
  /** Of classes of which each row has one: see `crossEntropy`. */
  labelSmoothing: z.number().nonnegative().lt(1).default(0),
  seed: z.int().nonnegative(),
  /** Of all epochs. */
  steps: z.int().positive(),
  /** Steps in which the rate rises. */
  warmup: z.int().nonnegative(),
  /** Steps between two evaluations. */
  evaluateEvery: z.int().positive(),
  /** Evaluations without a gain of more than `threshold`, after which it stops. */
  patience: z.int().positive(),
  threshold: z.number().nonnegative(),
  maxSeconds: z.number().positive(),
  /** Whether of the forward part only what layers give is kept, and the rest computed again: it takes less memory. */
  recomputes: z.boolean().default(false),
});
export type TrainingPlan = z.infer<typeof TrainingPlan>;

type Chosen = Pick<
  TrainingPlan,
  "strategy" | "layers" | "epochs" | "batch" | "learningRate" | "seed" | "maxSeconds"
> &
  Partial<Pick<TrainingPlan, "lora" | "softPrompt" | "labelSmoothing" | "recomputes">> & {
    /** When to stop; by default, what `planTraining` finds fitting. */
    readonly patience?: number | null;
    readonly threshold?: number | null;
  };

const warmupShare = 0.06;
/** Or once an epoch, where those are more. */
const evaluationsMin = 5;
/** Or a third of all evaluations: many a training gains nothing for a while before it begins to. */
const patienceMin = 3;

/** Of a training of so many epochs. */
export function evaluationsOf(epochs: number): number {
  return Math.max(evaluationsMin, epochs);
}

function paced(steps: number, evaluations: number) {
  return {
    steps,
    warmup: Math.ceil(steps * warmupShare),
    evaluateEvery: Math.ceil(steps / evaluations),
  };
}

export function planTraining(chosen: Chosen, examples: number): TrainingPlan {
  const steps = Math.ceil(examples / chosen.batch) * chosen.epochs;
  const usual = Math.max(patienceMin, Math.ceil(evaluationsOf(chosen.epochs) / 3));
  return {
    recomputes: false,
    labelSmoothing: 0,
    ...chosen,
    ...paced(steps, evaluationsOf(chosen.epochs)),
    lora: chosen.lora ?? usualLora,
    softPrompt: chosen.softPrompt ?? usualSoftPrompt,
    patience: chosen.patience ?? usual,
    threshold: chosen.threshold ?? 0,
  };
}

/** Of all steps, the last one's included. */
export function evaluationsIn({ steps, evaluateEvery }: TrainingPlan): number {
  return Math.ceil(steps / evaluateEvery);
}

/** Fewer evaluations, of fewer examples each, than a plan has. */
export const Evaluations = z.object({
  count: z.int().positive(),
  /** Of what is held out, in each, and once the training has ended. */
  examples: z.int().positive(),
  examplesAtEnd: z.int().positive(),
});
export type Evaluations = z.infer<typeof Evaluations>;

/** The same with a schedule that ends after so many steps. @param evaluations null: as many as are usual */
export function shortenPlan(
  plan: TrainingPlan,
  { steps, evaluations }: { readonly steps: number; readonly evaluations: Evaluations | null },
): TrainingPlan {
  if (steps >= plan.steps && evaluations === null) return plan;
  const epochs = Math.ceil((plan.epochs * steps) / plan.steps);
  return {
    ...plan,
    ...paced(Math.min(steps, plan.steps), evaluations?.count ?? evaluationsOf(epochs)),
  };
}

/** The rest of a schedule that ends earlier than the steps it was made for, as they take longer than it seemed. */
export const Slowed = z.object({
  /** Steps that were taken by then, and the rate of the next. */
  step: z.int().nonnegative(),
  rate: z.number().nonnegative(),
  /** Of the schedule before: warm-up and evaluations stay those of so many. */
  steps: z.int().positive(),
});
export type Slowed = z.infer<typeof Slowed>;

/** Of a step, counted from 0. @param slowed from there the rate falls evenly to nothing at the plan's end */
export function learningRateAt(
  { learningRate, warmup, steps }: TrainingPlan,
  step: number,
  slowed: Slowed | null = null,
): number {
  if (slowed !== null) return (slowed.rate * (steps - step)) / (steps - slowed.step);
  // The first step's rate would be 0: it is begun with the second's.
  return learningRate * scheduleFactor({ name: "linear", warmup, steps: steps + 1 }, step + 1);
}
