/** A search over trainings of one base: candidates around what would be taken without it, trials by the loop. */
import { mkdir } from "node:fs/promises";
import { candidatesOf, spaceAround } from "./search-plan.ts";
import type { TrialOptions } from "./search-plan.ts";
import { Divergence } from "./run-training.ts";
import type { TrainingEnd } from "./run-training.ts";
import { searchOptions } from "./search.ts";
import type { SearchEnd, SearchTrial, TrialEnd } from "./search.ts";
import { stateFolderOf, untold } from "./train-in-folder.ts";
import type { TrainingRun } from "./train-in-folder.ts";
import type { TrainingPlan } from "./training-plan.ts";
import { readTraining } from "./training-state.ts";

/** What is searched over. */
export type Searched = {
  /** Those that are tried where none is asked for. */
  readonly strategies: readonly TrialOptions["strategy"][];
  /** Of a whole training, estimated. */
  readonly bytesOf: (of: TrialOptions) => number;
  readonly secondsOf: (of: TrialOptions) => number;
  /** Writes nothing but its state. */
  readonly train: (run: TrainingRun) => Promise<Pick<TrainingEnd, "progress">>;
};

export type TrainingSearch = {
  readonly searched: Searched;
  /** Of the training that is searched for: its folder keeps the search too. */
  readonly run: Omit<TrainingRun, "plan" | "from" | "events">;
  readonly asked: Omit<Parameters<typeof spaceAround>[1], "strategies"> & {
    readonly seed: number;
    readonly maxSeconds: number;
  };
  readonly trials: number;
  /** What would be trained without a search. */
  readonly first: TrialOptions;
  readonly planOf: (of: TrialOptions) => TrainingPlan;
  readonly memoryBytes: number;
  readonly onTrial: (trial: SearchTrial) => void;
  readonly onOver: (ended: SearchEnd) => void;
};

/** Throws as `searchOptions`. */
export async function searchTraining({
  searched,
  run,
  asked,
  trials,
  first,
  planOf,
  memoryBytes,
  onTrial,
  onOver,
}: TrainingSearch): ReturnType<typeof searchOptions> {
  const { strategies, bytesOf, secondsOf } = searched;
  const { fingerprint, out } = run;
  const folder = stateFolderOf(out);
  await mkdir(folder, { recursive: true });
  const isPossible = (each: TrialOptions) => bytesOf(each) <= memoryBytes;
  const chance = { trials, seed: asked.seed, isPossible };
  return await searchOptions({
    folder,
    fingerprint,
    maxSeconds: asked.maxSeconds,
    planOf,
    candidates: async () =>
      candidatesOf(first, spaceAround(first, { ...asked, strategies }), chance),
    secondsOf,
    train: async (plan, place, name) => {
      const from = await readTraining(stateFolderOf(place), fingerprint);
      const trial = { ...run, plan: from?.plan ?? plan, from, name, out: place, events: untold };
      return await endOf(searched, trial);
    },
    onTrial,
    onOver,
  });
}

const worst = { score: -Number.MAX_VALUE, loss: Number.MAX_VALUE };

/** How good a training came to be, and what it took, the opening of its graphs with it. */
async function endOf({ train }: Searched, trial: TrainingRun): Promise<TrialEnd> {
  const before = trial.from?.progress.seconds ?? 0;
  const begun = trial.now();
  const seconds = () => before + (trial.now() - begun) / 1000;
  try {
    const { progress } = await train(trial);
    const { score, loss } = progress.best ?? worst;
    return { score, loss, seconds: seconds() };
  } catch (error) {
    if (!(error instanceof Divergence)) throw error;
    return { ...worst, seconds: seconds() };
  }
}
