/**
 * How the learning rate changes over a training: a factor of it, by step, counted from 0. After a linear warm-up it
 * stays, falls evenly, or along a cosine, as transformers' get_…_schedule_with_warmup have it.
 */

export const scheduleNames = ["constant", "linear", "cosine"] as const;
export type ScheduleName = (typeof scheduleNames)[number];

export type Schedule = {
  readonly name: ScheduleName;
  /** Steps in which the rate rises from 0. */
  readonly warmup: number;
  /** Steps of the training, those included. */
  readonly steps: number;
};

/** What is left of the rate after the warm-up, for `progress` 0 … 1. */
const falls: { readonly [S in ScheduleName]: (progress: number) => number } = {
  constant: () => 1,
  linear: (progress) => 1 - progress,
  cosine: (progress) => 0.5 * (1 + Math.cos(Math.PI * progress)),
};

export function scheduleFactor({ name, warmup, steps }: Schedule, step: number): number {
  if (step < warmup) return step / Math.max(1, warmup);
  const progress = (step - warmup) / Math.max(1, steps - warmup);
  return falls[name](Math.min(progress, 1));
}
