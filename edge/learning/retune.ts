/**
 * A re-tune of an alias: when it begins, and whether what came of it is better. Pure; the time is an argument.
 */
import type { TrainingReport } from "#contract/training/evaluation-report.ts";
import { metricName, verdictInWords } from "#contract/training/report-words.ts";
import type { FormName } from "#contract/training/forms.ts";
import type { TunedModelName } from "#contract/training/tuned-model.ts";
import type { TuningJobId } from "#contract/training/tuning-job.ts";
import type { NewTuningJob } from "../fine-tuning/tuning-job.ts";

export const retuneLimits = { filesMax: 10, daysMax: 365, eventsMax: 50 } as const;
const dayMs = 86_400_000;

export type RetuneSettings = {
  tenant: string;
  /** Without `ft:@`. */
  alias: string;
  /** New corrections that begin one. */
  minExamples: number;
  /** One begins after so many days, where there is any new correction; null: never by itself. */
  everyDays: number | null;
  /** What it learns from beside the corrections: JSON Lines of this form. */
  trainingFiles: string[];
  form: FormName;
  /** Of the requests, for the new model; null: the alias points to it at once. */
  share: number | null;
  /** As the model was trained that the alias pointed to. */
  like: Pick<
    NewTuningJob,
    "model" | "baseTasks" | "start" | "validationFile" | "suffix" | "options"
  >;
};

/** Each step may be taken again, whatever was done of it before. */
export type RetuneRun = {
  step: "write" | "create" | "train";
  /** Milliseconds since the epoch. */
  begunAt: number;
  /** What the alias pointed to. */
  from: TunedModelName;
  /** Number of the last correction that it was begun for. */
  upTo: number;
  file: string;
  job: TuningJobId;
  /** Jobs of it before this one, which failed on our side. Absent: none. */
  failures?: number;
};

/** Times are milliseconds since the epoch. */
export type RetuneEvent = { at: number; level: "info" | "warn"; message: string };

export type RetuneState = {
  /** Number of the last correction that was learnt from. */
  usedTo: number;
  /** When the last one ended; at first, when it was asked for. */
  since: number;
  run: RetuneRun | null;
  /** The newest last. */
  events: RetuneEvent[];
};

export type Retune = { settings: RetuneSettings; state: RetuneState };

/** When the schedule has one begin; null: never. */
export function scheduledAt({ settings, state }: Retune): number | null {
  return settings.everyDays === null ? null : state.since + settings.everyDays * dayMs;
}

/** @param examples new corrections */
export function isDue(retune: Retune, examples: number, now: number): boolean {
  if (retune.state.run !== null || examples === 0) return false;
  const at = scheduledAt(retune);
  return examples >= retune.settings.minExamples || (at !== null && at <= now);
}

/** The same is not said twice in a row. */
export function told(state: RetuneState, event: RetuneEvent): RetuneState {
  if (state.events.at(-1)?.message === event.message) return state;
  return { ...state, events: [...state.events, event].slice(-retuneLimits.eventsMax) };
}

export type Judgement = { better: boolean; why: string };

/**
 * The report's own verdict decides, and beside it, where both were measured on the same rows, the figure that it goes
 * by.
 * @param before the report of the model that it would replace, on the same rows; null: there is none
 */
export function judge(report: TrainingReport | null, before: TrainingReport | null): Judgement {
  if (report === null) return { better: false, why: "its report cannot be read" };
  const { decision, reasons } = report.verdict;
  // A sentence of its own, which becomes a part of another.
  const reason = (reasons[0] ?? "").replace(/\.$/, "");
  if (decision !== "deploy")
    return { better: false, why: `${verdictInWords(report.verdict)}: ${reason}` };
  const [now] = report.comparisons;
  const [then] = before?.comparisons ?? [];
  if (now === undefined || then === undefined || now.metric !== then.metric)
    return { better: true, why: reason };
  const [is, was] = [now.tuned, then.tuned];
  if (is === null || was === null) return { better: true, why: reason };
  const worse = now.better === "higher" ? is < was : is > was;
  const figures = `${metricName(now.metric)} ${rounded(is)}, and of the model before ${rounded(was)}`;
  return { better: !worse, why: `on the same held-out rows ${figures}` };
}

function rounded(value: number): string {
  return value.toFixed(4);
}
