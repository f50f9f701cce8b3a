/** What a training says of itself (training/tune-model.ts) as events of its job. */
import type { TrainingReport } from "#contract/training/evaluation-report.ts";
import { counted, metricName } from "#contract/training/report-words.ts";
import type { DataReport } from "#contract/training/report.ts";
import type { TuningOptions } from "#contract/training/tuning-options.ts";
import { noticesOfData } from "../datasets/data-words.ts";
import type { SmallerEnd } from "../training/label-curve.ts";
import type { Score } from "../training/run-training.ts";
import type { SearchTrial } from "../training/search.ts";
import type { TrainingPlan } from "../training/training-plan.ts";
import type { Progress } from "../training/training-state.ts";
import type { TuningSizes } from "../training/prepare-training.ts";
import type { TuningEvent } from "../training/tune-model.ts";
import {
  evaluationsInWords,
  searchOverInWords,
  smallerInWords,
  verdictSentence,
} from "../training/tuning-card.ts";
import type { TuningLease } from "./tuning-lease.ts";

type Plan = Extract<TuningEvent, { kind: "plan" }>;

/** @returns takes what is told, in order */
export function tuningTeller(
  options: Pick<TuningOptions, "strategy" | "maxSeconds" | "trials" | "labelNames">,
  lease: Pick<TuningLease, "tell" | "keep" | "advance">,
  /** Milliseconds, monotonic. */
  now: () => number,
): (event: TuningEvent) => void {
  let plan: Plan | null = null;
  /** Of a training that was interrupted. */
  let from: Progress | null = null;
  let seconds: number | null = null;
  /** Of trials before the training, and of smaller ones after it. */
  let beside = 0;
  let last = { step: 0, steps: 0, trainedTokens: 0, seconds: 0 };
  const advance = (progress: typeof last, secondsLeft: number | null) => {
    last = progress;
    lease.advance({ ...progress, seconds: progress.seconds + beside, secondsLeft });
  };
  let trials = 0;
  const begun = now();
  return (event) => {
    switch (event.kind) {
      case "data":
        return tellData(event.report, options, lease);
      case "choice":
        seconds = event.choice.seconds;
        return tellSearch(event.choice, options, lease);
      case "resumed": {
        const { step } = (from = event.progress);
        return lease.tell(`Goes on after step ${step}`, { step });
      }
      case "plan":
        plan = event;
        beside = Math.max(0, options.maxSeconds - event.plan.maxSeconds);
        if (from !== null) advance(progressOf(event, { progress: from }), null);
        return tellPlan(event, { ...options, seconds }, lease);
      case "step":
        if (plan !== null) advance(progressOf(plan, event), leftOf(event));
        return;
      case "evaluation":
        if (plan !== null) tellScore(plan, event, lease);
        return;
      case "shortened":
        return tellFit(event, lease);
      case "stopped":
        return tellStop(event, last, lease);
      case "unserved":
        return lease.tell(`The report is not of the model as it is served: ${event.why}`);
      case "searched":
        beside += event.trial.result.seconds;
        advance(last, null);
        return tellTrial(event.trial, lease);
      case "searchOver": {
        const { trials: run, planned } = event;
        return lease.tell(searchOverInWords(event), { trials: run, planned_trials: planned });
      }
      case "smaller":
        beside += event.end.seconds;
        advance(last, null);
        return tellSmaller(event.end, lease);
      case "saved":
        return lease.tell(`State saved after step ${event.step}`, { step: event.step });
      case "read":
        return advance(
          {
            ...readingOf(plan?.sizes.tokens ?? 0, event),
            seconds: (now() - begun) / 1000,
          },
          null,
        );
      case "trial": {
        const { l2, accuracy } = event.trial;
        const words = `L2 ${l2}: accuracy ${accuracy.toFixed(4)}`;
        const step = (trials += 1);
        return lease.tell(words, { step, l2, valid_accuracy: accuracy }, { type: "metrics" });
      }
    }
  };
}

/** What is worth knowing of the files, one event each. */
function tellData(
  report: DataReport,
  { labelNames }: Pick<TuningOptions, "labelNames">,
  lease: Pick<TuningLease, "tell">,
): void {
  const { training, leakage } = report;
  const { duplicates, conflicts } = training.repeats;
  const data = {
    training_examples: training.examples,
    duplicates,
    conflicts,
    leaked_examples: leakage?.examples ?? null,
  };
  const [first, ...others] = noticesOfData(report, labelNames);
  if (first === undefined) return;
  lease.tell(first, data, { level: "warn" });
  for (const words of others) lease.tell(words, {}, { level: "warn" });
}

/** A search comes before the plan. */
function tellSearch(
  { strategy, epochs }: Extract<TuningEvent, { kind: "choice" }>["choice"],
  { trials }: Pick<TuningOptions, "trials">,
  lease: Pick<TuningLease, "tell">,
): void {
  if (trials === null || trials === 1 || strategy === "head") return;
  const around = `around strategy ${strategy} and ${counted(epochs, "epoch")}`;
  const words = `${trials} trials of settings ${around}, the best kept`;
  lease.tell(words, { n_trials: trials, strategy, n_epochs: epochs });
}

type Told = Pick<TuningOptions, "strategy" | "maxSeconds"> & { seconds: number | null };

function tellPlan(
  { plan, sizes }: Plan,
  { strategy: asked, maxSeconds, seconds }: Told,
  lease: Pick<TuningLease, "tell">,
): void {
  const { strategy, epochs, batch, steps, learningRate, labelSmoothing, seed } = plan;
  const estimate = seconds === null ? "" : ` About ${Math.ceil(seconds)} of ${maxSeconds} seconds.`;
  lease.tell(`${strategyWords(plan, asked)}: ${workWords(plan, sizes)}.${estimate}`, {
    strategy,
    ...(strategy === "top-k" && { layers: plan.layers }),
    ...(strategy === "soft-prompt" && { virtual_tokens: plan.softPrompt.virtualTokens }),
    ...(strategy === "lora" && { lora_rank: plan.lora.rank, lora_alpha: plan.lora.alpha }),
    ...(strategy !== "head" && {
      n_epochs: epochs,
      batch_size: batch,
      total_steps: steps,
      learning_rate: learningRate,
      label_smoothing: labelSmoothing,
    }),
    seed,
    training_examples: sizes.examples,
    held_out_examples: sizes.heldOut,
    estimated_seconds: seconds,
    max_seconds: maxSeconds,
  });
}

function tellFit(
  { steps, evaluations, heldOut }: Extract<TuningEvent, { kind: "shortened" }>,
  lease: Pick<TuningLease, "tell">,
): void {
  const fitting = steps === 1 ? "1 step fits" : `${steps} steps fit`;
  const words = `${fitting} in the time: the rate falls to 0 by then`;
  const data = { total_steps: steps };
  if (evaluations === null) return lease.tell(words, data);
  const { count, examples, examplesAtEnd } = evaluations;
  const judged = {
    evaluations: count,
    evaluated_examples: examples,
    evaluated_examples_at_end: examplesAtEnd,
  };
  lease.tell(`${words}; ${evaluationsInWords(evaluations, heldOut)}`, { ...data, ...judged });
}

/** Of one that took all steps there is nothing to tell. */
function tellStop(
  { stopped }: Extract<TuningEvent, { kind: "stopped" }>,
  { step, steps }: { step: number; steps: number },
  lease: Pick<TuningLease, "tell">,
): void {
  if (step >= steps) return;
  const words = `Stopped after step ${step} of ${steps}: ${stopped.detail}`;
  lease.tell(words, { step, total_steps: steps });
}

function strategyWords({ strategy, layers }: TrainingPlan, asked: TuningOptions["strategy"]) {
  const what = strategy === "top-k" ? `top-k of ${counted(layers, "layer")}` : strategy;
  return asked === "auto" ? `Strategy ${what}, chosen by auto` : `Strategy ${what}`;
}

function workWords({ strategy, epochs, batch, steps }: TrainingPlan, sizes: TuningSizes): string {
  const { examples, heldOut } = sizes;
  const judged = `${heldOut} examples are held out to judge by`;
  if (strategy === "head") return `all ${examples} examples read once; ${judged}`;
  const passes = `${counted(epochs, "epoch")} of all ${examples} examples`;
  return `${passes}, ${batch} a step (${counted(steps, "step")}); ${judged}`;
}

function progressOf({ plan, sizes }: Plan, { progress }: { progress: Progress }) {
  const { step, seconds } = progress;
  const trainedTokens = Math.round((sizes.tokens * plan.epochs * step) / plan.steps);
  return {
    step,
    steps: progress.steps ?? plan.steps,
    trainedTokens,
    seconds,
  };
}

function leftOf({ secondsLeft }: { secondsLeft: number }): number | null {
  return Number.isFinite(secondsLeft) ? Math.max(0, secondsLeft) : null;
}

/** What the report comes to. */
export function tellVerdict(
  { verdict, comparisons }: TrainingReport,
  lease: Pick<TuningLease, "tell">,
): void {
  const { decision, more_labels } = verdict;
  const [first] = comparisons;
  lease.tell(verdictSentence(verdict), {
    decision,
    more_labels,
    ...(first !== undefined && numbersOf({ [`base_${first.metric}`]: first.base })),
    ...(first !== undefined && numbersOf({ [`tuned_${first.metric}`]: first.tuned })),
  });
}

/** Of `head`, which takes no steps: texts in their place. */
function readingOf(tokens: number, { done, total }: { done: number; total: number }) {
  const trainedTokens = Math.round((tokens * done) / Math.max(1, total));
  return { step: done, steps: total, trainedTokens };
}

type Numbers = Readonly<Record<string, number | null>>;

function tellScore(
  { plan }: Plan,
  { progress, score }: { progress: Progress; score: Score },
  lease: Pick<TuningLease, "tell" | "keep">,
): void {
  const { step } = progress;
  const figures = numbersOf({
    train_loss: progress.metrics.at(-1)?.train_loss ?? null,
    valid_loss: score.loss,
    valid_mean_token_accuracy: progress.metrics.at(-1)?.valid_mean_token_accuracy ?? null,
    [`valid_${score.name.replaceAll(/\W+/g, "_")}`]: score.value,
  });
  const steps = progress.steps ?? plan.steps;
  const scored = `${metricName(score.name)} ${score.value.toFixed(4)}`;
  const words = `Step ${step}/${steps}: ${scored}, loss ${score.loss.toFixed(4)}`;
  const data = { step, total_steps: steps, ...figures };
  lease.tell(words, data, { type: "metrics" });
  if (progress.best?.step === step) lease.keep(step, { step, ...figures });
}

function tellTrial(
  { result, options, steps, rounds }: SearchTrial,
  lease: Pick<TuningLease, "tell">,
) {
  const { strategy, epochs, batch, learningRate } = options;
  const { round, candidate, score, loss } = result;
  const name = `Trial ${candidate + 1}, round ${round + 1} of ${rounds}`;
  const words = `${name}: score ${score.toFixed(4)} after ${counted(steps, "step")}`;
  const tried = { strategy, n_epochs: epochs, batch_size: batch, learning_rate: learningRate };
  const figures = numbersOf({ valid_score: score, valid_loss: loss });
  lease.tell(
    words,
    { trial: candidate, round, step: steps, ...tried, ...figures },
    { type: "metrics" },
  );
}

function tellSmaller(end: SmallerEnd, lease: Pick<TuningLease, "tell">): void {
  const { labels, score } = end;
  const figures = { training_examples: labels, valid_score: score };
  lease.tell(smallerInWords(end), figures);
}

/** What is no number has no place in JSON. */
function numbersOf(figures: Numbers): Record<string, number> {
  const finite = Object.entries(figures).flatMap(([name, value]) =>
    value !== null && Number.isFinite(value) ? [[name, value] as const] : [],
  );
  return Object.fromEntries(finite);
}
