/** A search over the trainings of one encoder: candidates around what would be taken without it, trials by the loop. */
import { mkdir } from "node:fs/promises";
import { candidatesOf, spaceAround } from "./search-plan.ts";
import type { TrialOptions } from "./search-plan.ts";
import { searchOptions } from "./search.ts";
import type { SearchTrial } from "./search.ts";
import { stateFolderOf } from "./train-in-folder.ts";
import type { TrainingRun } from "./train-in-folder.ts";
import { estimateBytes, estimateSeconds } from "./training-cost.ts";
import type { TrainingPlan } from "./training-plan.ts";
import { readTraining } from "./training-state.ts";
import { tryEncoder } from "./tune-encoder.ts";
import type { PreparedTuning } from "./tune-encoder.ts";

export type EncoderSearch = {
  readonly prepared: PreparedTuning;
  /** Of the training that is searched for: its folder keeps the search too. */
  readonly run: Omit<TrainingRun, "plan" | "from" | "events">;
  readonly asked: Parameters<typeof spaceAround>[1] & {
    readonly seed: number;
    readonly maxSeconds: number;
  };
  readonly trials: number;
  /** What would be trained without a search. */
  readonly first: TrialOptions;
  readonly planOf: (of: TrialOptions) => TrainingPlan;
  readonly limits: { readonly gemmRate: number; readonly memoryBytes: number };
  readonly onTrial: (trial: SearchTrial) => void;
};

const ignore = () => undefined;

/** Throws as `searchOptions`. */
export async function searchEncoder({
  prepared,
  run,
  asked,
  trials,
  first,
  planOf,
  limits: { gemmRate, memoryBytes },
  onTrial,
}: EncoderSearch): ReturnType<typeof searchOptions> {
  const { facts } = prepared;
  const { fingerprint, out } = run;
  const folder = stateFolderOf(out);
  await mkdir(folder, { recursive: true });
  const isPossible = (each: TrialOptions) => estimateBytes(facts, each) <= memoryBytes;
  const chance = { trials, seed: asked.seed, isPossible };
  return await searchOptions({
    folder,
    fingerprint,
    maxSeconds: asked.maxSeconds,
    planOf,
    candidates: async () => candidatesOf(first, spaceAround(first, asked), chance),
    secondsOf: (each) => estimateSeconds(facts, each, gemmRate),
    train: async (plan, place, name) => {
      const from = await readTraining(stateFolderOf(place), fingerprint);
      const events = { onStep: ignore, onEvaluation: ignore, onSave: ignore, onUnserved: ignore };
      const trial = { ...run, plan: from?.plan ?? plan, from, name, out: place, events };
      return await tryEncoder({ prepared, ...trial });
    },
    onTrial,
  });
}
