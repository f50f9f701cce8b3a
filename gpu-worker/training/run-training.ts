/**
 * The loop: batches by the plan's seed, a step each, evaluations between them, the best parameters kept, and a stop
 * when nothing is gained any more, the time is over or somebody wants one. Everything but the time that is left follows
 * from plan and data, so that a training that goes on ends as one that never stopped.
 */
import type { MetricsStep, TrainingReport } from "#contract/training/evaluation-report.ts";
import { counted } from "#contract/training/report-words.ts";
import { tunedScore } from "../evaluation/make-report.ts";
import type { HeldOut } from "../evaluation/held-out.ts";
import { int64 } from "../tensor/tensor.ts";
import { batchesOf, mixSeeds, sampleOf } from "./batches.ts";
import type { TokenRow } from "./encode-texts.ts";
import { evaluateAll, feedsOf } from "./evaluate-part.ts";
import type { TrainStep } from "./train-step.ts";
import { PaceMeter, endInTime, fitInTime, isLookedAt } from "./time-fit.ts";
import type { HeldOutSize, Pace, TimeFit } from "./time-fit.ts";
import { learningRateAt, shortenPlan } from "./training-plan.ts";
import type { TrainingPlan } from "./training-plan.ts";
import type { Progress, Tensors, TrainingState } from "./training-state.ts";
import type { BatchData, JudgedPart } from "./training-task.ts";
import { TuningError } from "./tuning-error.ts";

export type TrainingEvents = {
  /** @param secondsLeft of all steps, evaluations included */
  onStep(progress: Progress, secondsLeft: number): void;
  onEvaluation(progress: Progress, score: Score): void;
  /** Its seconds are not enough for all: its schedule has these steps and evaluations. */
  onShortened?(fit: TimeFit): void;
};

export type RunOptions = {
  readonly plan: TrainingPlan;
  readonly step: TrainStep;
  /** Of trained tensors, without the optimizer's states. */
  readonly trained: readonly string[];
  readonly paddingId: number;
  readonly training: { readonly rows: readonly TokenRow[]; readonly data: BatchData };
  readonly heldOut: JudgedPart;
  /** The trained tensors as they begin. */
  readonly start: () => Tensors;
  /** Null: it begins. */
  readonly from: TrainingState | null;
  readonly save: (state: TrainingState) => Promise<void>;
  readonly saveEverySeconds: number;
  readonly events: TrainingEvents;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  readonly signal: AbortSignal;
};

export type Score = {
  readonly name: string;
  readonly value: number;
  readonly loss: number;
  /** Of answers, or tokens; null: it is not measured. */
  readonly accuracy: number | null;
};

export type TrainingEnd = {
  readonly progress: Progress;
  readonly stopped: TrainingReport["stopped"];
  /** Those of the examples held out that were judged at the end, and what the base says of their rows, if asked. */
  readonly examples: readonly number[];
  readonly base: readonly Float32Array[] | null;
  /** What the best parameters answer to them. */
  readonly heldOut: HeldOut;
  readonly best: Tensors;
};

const beginning = (): Progress => ({
  step: 0,
  steps: null,
  evaluations: null,
  slowed: null,
  seconds: 0,
  metrics: [],
  best: null,
  withoutGain: 0,
});

/** A loss from which nothing comes back. */
export class Divergence extends TuningError {
  constructor({
    strategy,
    learningRate,
    lora,
  }: Pick<TrainingPlan, "strategy" | "learningRate" | "lora">) {
    const alpha = strategy === "lora" ? ` and an alpha of ${lora.alpha}` : "";
    super(
      `the loss is no number from the first steps on, at a learning rate of ${learningRate}${alpha}: lower ` +
        (strategy === "lora" ? "--learning-rate or alpha" : "--learning-rate"),
      { param: "learning_rate" },
    );
  }
}

/** @throws the signal's reason, once the state is saved */
export async function runTraining(options: RunOptions): Promise<TrainingEnd> {
  return await new TrainingRun(options).run();
}

class TrainingRun {
  readonly #options: RunOptions;
  readonly #lengths: readonly number[];
  /** Shortened once it is known what ends in time. */
  #plan: TrainingPlan;
  readonly #pace = new PaceMeter();
  #progress: Progress;
  /** What evaluations are of, once there was one. */
  #judged: JudgedPart | null = null;
  #best: Tensors | null;
  #epoch: { readonly index: number; readonly batches: number[][] } | null = null;
  /** When this run began, were the seconds before it its own. */
  readonly #start: number;
  #savedAt: number;
  /** Nothing has changed since. */
  #isSaved: boolean;
  /** When what was before the step that is taken had ended. */
  #stepFrom: number;

  constructor(options: RunOptions) {
    this.#options = options;
    this.#progress = options.from?.progress ?? beginning();
    this.#plan = shortenedBy(options.plan, this.#progress);
    this.#best = options.from?.best ?? null;
    this.#lengths = options.training.rows.map(({ ids }) => ids.length);
    this.#savedAt = options.now();
    this.#isSaved = options.from !== null;
    this.#stepFrom = this.#savedAt;
    this.#start = this.#savedAt - this.#progress.seconds * 1000;
  }

  async run(): Promise<TrainingEnd> {
    const { step, from, heldOut, saveEverySeconds } = this.#options;
    if (from !== null) await step.write(from.tensors, from.progress.step);
    const stopped = await this.#steps();
    // What follows may be interrupted, and takes a while.
    if (stopped.reason !== "diverged" && Number.isFinite(saveEverySeconds)) await this.#save();
    const best = this.#best;
    if (best === null) throw new Divergence(this.#plan);
    const examples = this.#sample(this.#progress.evaluations?.examplesAtEnd);
    const part = heldOut.take(examples);
    const base = await this.#base(part);
    await step.write(best, this.#progress.step);
    const { rows } = await this.#evaluated(part);
    const { data } = base === null ? part : (part.against?.(base) ?? part);
    return {
      progress: this.#progress,
      stopped,
      examples,
      base,
      heldOut: await data.judge(rows),
      best,
    };
  }

  /** What the parameters say as they begin, where that is what the best are compared with. */
  async #base(part: JudgedPart): Promise<readonly Float32Array[] | null> {
    const { step, start } = this.#options;
    if (part.against === undefined) return null;
    await step.write(start(), this.#progress.step);
    return (await this.#evaluated(part)).rows;
  }

  /** So many of the examples that are held out; absent: all. */
  #sample(size?: number): number[] {
    const { heldOut, plan } = this.#options;
    const all = heldOut.examples;
    return sampleOf(all, size ?? all, plan.seed);
  }

  async #evaluated(part: JudgedPart) {
    const { step, paddingId, plan } = this.#options;
    return await evaluateAll(step, part, { paddingId, batch: plan.batch });
  }

  async #steps(): Promise<TrainingEnd["stopped"]> {
    const { signal, now, saveEverySeconds } = this.#options;
    for (;;) {
      const stop = this.#stop();
      if (stop !== null) return stop;
      if (signal.aborted) {
        await this.#save();
        throw signal.reason;
      }
      const isFinite = await this.#takeStep();
      await this.#fitInTime();
      const { step } = this.#progress;
      const due = this.#isDue();
      if (!isFinite) return { reason: "diverged", detail: `the loss of step ${step} is no number` };
      if (due) await this.#evaluate();
      if (now() - this.#savedAt >= saveEverySeconds * 1000) await this.#save();
    }
  }

  #isDue(): boolean {
    const { step } = this.#progress;
    const { evaluateEvery, steps } = this.#plan;
    return step % evaluateEvery === 0 || step === steps || this.#isLate();
  }

  #isLate(): boolean {
    return this.#progress.seconds >= this.#plan.maxSeconds;
  }

  /** Saved: one that goes on has the same rates. */
  async #fitInTime(): Promise<void> {
    const fit = this.#progress.steps === null ? this.#fit() : this.#fitAgain();
    if (fit === null) return;
    this.#plan = shortenedBy(this.#options.plan, this.#progress);
    this.#options.events.onShortened?.(fit);
    await this.#save();
  }

  /**
   * Before the first evaluation, so that all are of the same examples.
   * @returns null: it is as planned, or not known as yet
   */
  #fit(): TimeFit | null {
    const { plan } = this.#options;
    const measured = this.#measured(this.#isDue());
    if (measured === null) return null;
    const fit = fitInTime(plan, measured.pace, measured.size);
    this.#progress = { ...this.#progress, ...fit };
    return fit.steps === plan.steps && fit.evaluations === null ? null : fit;
  }

  /** @returns null: it ends in time */
  #fitAgain(): TimeFit | null {
    const { step, evaluations, slowed } = this.#progress;
    const { steps: before } = slowed ?? this.#plan;
    if (step >= this.#plan.steps || !isLookedAt(step, before)) return null;
    const measured = this.#measured(false);
    if (measured === null) return null;
    const steps = endInTime(this.#plan, measured.pace, measured.size, evaluations);
    if (steps === null) return null;
    const rate = learningRateAt(this.#plan, step, slowed);
    this.#progress = { ...this.#progress, steps, slowed: { step, rate, steps: before } };
    return { steps, evaluations: null };
  }

  #measured(isDue: boolean): { pace: Pace; size: HeldOutSize } | null {
    const { plan, heldOut } = this.#options;
    const lengths = { training: this.#lengths, heldOut: heldOut.rows.map(({ ids }) => ids.length) };
    const pace = this.#pace.read(plan, lengths, isDue);
    const size = { examples: heldOut.examples, endPasses: heldOut.against === undefined ? 1 : 2 };
    return pace && { pace: { ...this.#progress, ...pace }, size };
  }

  #stop(): TrainingEnd["stopped"] | null {
    const plan = this.#plan;
    const { plan: whole } = this.#options;
    const { step, best, withoutGain } = this.#progress;
    if (step >= whole.steps) {
      const all = plan.epochs === 1 ? "the one epoch" : `all ${plan.epochs} epochs`;
      return { reason: "completed", detail: `${all}, ${counted(step, "step")}` };
    }
    if (step >= plan.steps) {
      const detail = `there is time for ${step} of ${whole.steps} steps in ${secondsOf(plan)}`;
      return { reason: "time_limit", detail };
    }
    if (best !== null && withoutGain >= plan.patience) {
      return {
        reason: "early_stopping",
        detail: `no gain in ${counted(withoutGain, "evaluation")}`,
      };
    }
    if (!this.#isLate() || best === null) return null;
    return {
      reason: "time_limit",
      detail: `${secondsOf(plan)} had passed after ${step} of ${whole.steps} steps`,
    };
  }

  #batch(): number[] {
    const { plan } = this.#options;
    const perEpoch = Math.ceil(this.#lengths.length / plan.batch);
    const index = Math.floor(this.#progress.step / perEpoch);
    if (this.#epoch?.index !== index) {
      const options = { size: plan.batch, seed: plan.seed, epoch: index };
      this.#epoch = { index, batches: batchesOf(this.#lengths, options) };
    }
    return this.#epoch.batches[this.#progress.step % perEpoch] ?? [];
  }

  /** @returns whether the loss is a number */
  async #takeStep(): Promise<boolean> {
    const { step, training, paddingId, events, now } = this.#options;
    const plan = this.#plan;
    const done = this.#progress.step;
    const indices = this.#batch();
    const draw = mixSeeds(plan.seed, done);
    const feeds = {
      ...feedsOf(training, indices, { paddingId, draw }),
      seed: int64([], [draw]),
    };
    const learningRate = learningRateAt(plan, done, this.#progress.slowed);
    const { loss = NaN } = await step.step(feeds, { learningRate });
    this.#isSaved = false;
    if (!Number.isFinite(loss)) return false;
    const after = now();
    const tokens = indices.reduce((total, at) => total + (this.#lengths[at] ?? 0), 0);
    this.#pace.add(tokens, (after - this.#stepFrom) / 1000);
    this.#stepFrom = after;
    const seconds = (after - this.#start) / 1000;
    this.#progress.metrics.push({ ...nothingMeasured, step: done + 1, train_loss: loss });
    this.#progress = { ...this.#progress, step: done + 1, seconds };
    events.onStep(this.#progress, (seconds / (done + 1)) * (plan.steps - done - 1));
    return true;
  }

  async #evaluate(): Promise<void> {
    const { plan, step, trained, events, now } = this.#options;
    const { score, higher } = await this.#judge();
    const { best, metrics } = this.#progress;
    const last = metrics.at(-1);
    const measured = { valid_loss: score.loss, valid_mean_token_accuracy: score.accuracy };
    if (last !== undefined) metrics[metrics.length - 1] = { ...last, ...measured };
    const gain = isGain({ score: higher, loss: score.loss }, best, plan.threshold);
    if (gain) this.#best = await step.read(trained);
    this.#progress = {
      ...this.#progress,
      best: gain ? { step: this.#progress.step, score: higher, loss: score.loss } : best,
      withoutGain: gain ? 0 : this.#progress.withoutGain + 1,
    };
    this.#isSaved = false;
    this.#stepFrom = now();
    events.onEvaluation(this.#progress, score);
  }

  async #judge(): Promise<{ score: Score; higher: number }> {
    const { heldOut } = this.#options;
    this.#judged ??= heldOut.take(this.#sample(this.#progress.evaluations?.examples));
    const { rows, loss } = await this.#evaluated(this.#judged);
    const { name, better, value, accuracy } = tunedScore(await this.#judged.data.judge(rows));
    const score = { name, value: value ?? -Infinity, loss, accuracy };
    const higher = better === "higher" || value === null ? score.value : -score.value;
    return { score, higher: Math.max(higher, -Number.MAX_VALUE) };
  }

  async #save(): Promise<void> {
    const { step, save, now } = this.#options;
    if (this.#isSaved) return;
    this.#isSaved = true;
    const tensors = await step.read(step.updated);
    await save({ progress: this.#progress, tensors, best: this.#best });
    this.#savedAt = now();
    this.#stepFrom = this.#savedAt;
  }
}

/** As far as it is known what ends in time. */
function shortenedBy(plan: TrainingPlan, { steps, evaluations, slowed }: Progress): TrainingPlan {
  const end = steps ?? plan.steps;
  const fitted = shortenPlan(plan, { steps: slowed?.steps ?? end, evaluations });
  return slowed === null ? fitted : { ...fitted, steps: end };
}

function secondsOf({ maxSeconds }: TrainingPlan): string {
  return counted(Math.round(maxSeconds), "second");
}

type Measured = Pick<NonNullable<Progress["best"]>, "score" | "loss">;

/** Of equal scores the lower loss is the better: at first a model often names the commonest class alone. */
function isGain(now: Measured, best: Measured | null, threshold: number): boolean {
  if (best === null || now.score > best.score + threshold) return true;
  return now.score === best.score && now.loss < best.loss;
}

const nothingMeasured: Omit<MetricsStep, "step" | "train_loss"> = {
  train_accuracy: null,
  valid_loss: null,
  valid_mean_token_accuracy: null,
};
