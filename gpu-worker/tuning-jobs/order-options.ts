/** What was asked of a job, as training takes it. */
import type { TuningOptions as Asked } from "#contract/training/tuning-options.ts";
import type { TuningOptions } from "../training/prepare-training.ts";

export function optionsOf(options: Asked): TuningOptions {
  const { earlyStopping, trials, learningRateMultiplier, ...given } = options;
  return {
    ...given,
    learningRateMultiplier: learningRateMultiplier ?? 1,
    patience: earlyStopping?.patience ?? null,
    threshold: earlyStopping?.threshold ?? 0,
    trials: trials ?? 1,
  };
}
