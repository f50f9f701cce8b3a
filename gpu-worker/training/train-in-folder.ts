/** A training in the folder of the model that comes of it: its graphs, its state while it is not at its end. */
import { mkdir, rm } from "node:fs/promises";
import path from "node:path";
import type { Runtime } from "../runtime/session.ts";
import { float32 } from "../tensor/tensor.ts";
import { readFloat32 } from "../weights/read-float32.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import type { SmallerEnd, SmallerRun } from "./label-curve.ts";
import type { OpenServed } from "./measure-served.ts";
import { runTraining } from "./run-training.ts";
import type { RunOptions, TrainingEnd, TrainingEvents } from "./run-training.ts";
import { openTrainStep } from "./train-step.ts";
import type { TrainingGraphs } from "./training-graphs.ts";
import { planTraining } from "./training-plan.ts";
import type { TrainingPlan } from "./training-plan.ts";
import { saveTraining } from "./training-state.ts";
import type { SavedTraining } from "./training-state.ts";

export type TrainingRun = {
  readonly plan: TrainingPlan;
  /** Where the training was interrupted; null: it begins. */
  readonly from: SavedTraining | null;
  /** Of the tuned model. */
  readonly name: string;
  /** Its folder. */
  readonly out: string;
  /** Of all that decides the result, so that a state is taken up by the same training alone. */
  readonly fingerprint: string;
  readonly saveEverySeconds: number;
  readonly runtime: Runtime;
  /** Null: nothing here serves what comes out. */
  readonly serve: OpenServed | null;
  readonly events: TrainingEvents & {
    onSave(step: number): void;
    /** Absent: nobody asks. */
    onStopped?(stopped: TrainingEnd["stopped"]): void;
    /** It is measured as it was trained. */
    onUnserved(why: string, error: unknown): void;
    /** The same was trained with fewer examples. */
    onSmaller(end: SmallerEnd): void;
  };
  readonly now: () => number;
  readonly signal: AbortSignal;
};

/** In the folder that is written to, until the training has ended. */
export const stateFolder = "training-state";

export function stateFolderOf(out: string): string {
  return path.join(out, stateFolder);
}

/** What the end of a tuning needs to know of its run. */
export function finishingOf({ out, serve, plan, now, events, signal }: TrainingRun) {
  const { maxSeconds, seed } = plan;
  const { onUnserved, onSmaller } = events;
  return { out, serve, maxSeconds, seed, now, onUnserved, onSmaller, signal };
}

/** Of a training beside the one that was asked for: nothing of it is told. */
export const untold: TrainingRun["events"] = {
  onStep: () => undefined,
  onEvaluation: () => undefined,
  onSave: () => undefined,
  onUnserved: () => undefined,
  onSmaller: () => undefined,
};

/** The same training with fewer examples, from the start, of which nothing is kept. */
export function smallerRun<R extends TrainingRun>(
  run: R,
  { examples, out, maxSeconds }: SmallerRun,
): R {
  const plan = planTraining({ ...run.plan, maxSeconds }, examples.length);
  return { ...run, plan, from: null, out, saveEverySeconds: Infinity, events: untold };
}

type Trained = {
  readonly graphs: TrainingGraphs;
  readonly weights: WeightSource;
  readonly paddingId: number;
  readonly examples: Pick<RunOptions, "training" | "heldOut">;
};

/** @throws the signal's reason, once the state is saved */
export async function trainInFolder(
  { plan, from, out, fingerprint, saveEverySeconds, runtime, events, now, signal }: TrainingRun,
  { graphs, weights, paddingId, examples }: Trained,
): Promise<TrainingEnd> {
  const folder = stateFolderOf(out);
  const work = path.join(folder, "graphs");
  // One that was killed has left its graphs behind.
  await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true });
  const { update, evaluation, trained } = graphs;
  const step = await openTrainStep({ runtime, update, evaluation, weights, folder: work, signal });
  try {
    const end = await runTraining({
      plan,
      step,
      trained,
      paddingId,
      ...examples,
      start: () =>
        new Map(
          trained.map((name) => {
            const { shape = [] } = weights.entry(name) ?? {};
            return [name, float32(shape, readFloat32(weights, name))];
          }),
        ),
      from,
      save: async (state) => {
        await saveTraining(folder, { ...state, plan }, fingerprint);
        events.onSave(state.progress.step);
      },
      saveEverySeconds,
      events,
      now,
      signal,
    });
    events.onStopped?.(end.stopped);
    return end;
  } finally {
    await step.release();
  }
}
