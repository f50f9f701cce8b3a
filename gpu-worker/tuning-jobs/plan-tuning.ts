/**
 * What a tuning job would do and cost, for whoever asks before creating one: its base found, its files read from the
 * bucket as they come, within a bound of time. Nothing of it is kept.
 */
import process from "node:process";
import { CodedError } from "#contract/errors.ts";
import type { TuningFile } from "#contract/training/tuning-options.ts";
import { tuningPlanBounds } from "#contract/training/tuning-plan.ts";
import { describeBase, obtainBase } from "../catalog/base-model.ts";
import type { CatalogSettings } from "../catalog/open-catalog.ts";
import type { PlanTuning } from "../jobs/computation-executor.ts";
import type { Runtime } from "../runtime/session.ts";
import { planDryRun } from "../training/plan-dry-run.ts";
import { jobFailure } from "./job-failure.ts";
import { optionsOf } from "./order-options.ts";

export type PlanTools = {
  readonly settings: Pick<CatalogSettings, "stateFolder" | "modelsFolder" | "hub">;
  readonly runtime: Runtime;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
};

/** Its sizes are about its base's, so that its files are not fetched. */
const startKinds = {
  adapter: { kind: "adapter", folder: null },
  checkpoint: { kind: "checkpoint" },
} as const;

/** Of that time: whose patience ends first, the job's or this one's, is told apart. */
class TimeIsUp extends Error {}

export function openPlanner({ settings, runtime, now }: PlanTools): PlanTuning {
  return async (model, input, { signal: asked, open, onProgress }) => {
    const { training, validation, start, options } = input;
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(new TimeIsUp()), 1_000 * secondsMax);
    const signal = AbortSignal.any([asked, patience.signal]);
    const source = ({ filename, object }: TuningFile) => ({ name: filename, bytes: open(object) });
    try {
      const base = await obtainBase(model, settings, signal);
      const run = {
        base: {
          id: base.known.id,
          folder: base.folder,
          upstream: await describeBase(base, signal),
          ...(start !== null && { from: startKinds[start] }),
        },
        training: source(training),
        validation: validation === null ? null : source(validation),
        options: optionsOf(options),
        runtime,
        now,
        memoryBytes: process.availableMemory(),
        onProgress,
        signal,
      };
      return await planDryRun(run, jobFailure);
    } catch (error) {
      if (!(signal.reason instanceof TimeIsUp)) throw error;
      throw new CodedError(
        "invalid_value",
        `These files take longer than ${secondsMax} seconds to be read, the most that a dry run takes. ` +
          "Send a smaller training_file, or create the job without it.",
        { param: "training_file", cause: error },
      );
    } finally {
      clearTimeout(timer);
    }
  };
}

const { secondsMax } = tuningPlanBounds;
