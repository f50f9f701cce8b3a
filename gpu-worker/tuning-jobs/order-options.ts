/** What was asked of a job, as training takes it. */
import type { TuningOptions as Asked } from "#contract/training/tuning-options.ts";
import type { TuningOptions } from "../training/prepare-training.ts";

/** Where nothing was asked and the data does not say. */
const usual = { layers: 2, learningRateMultiplier: 1 } as const;

export function optionsOf(options: Asked): TuningOptions {
  const { earlyStopping, trials, layers, learningRateMultiplier, ...given } = options;
  return {
    ...given,
    layers: layers ?? usual.layers,
    learningRateMultiplier: learningRateMultiplier ?? usual.learningRateMultiplier,
    patience: earlyStopping?.patience ?? null,
    threshold: earlyStopping?.threshold ?? 0,
    trials: trials ?? 1,
  };
}
