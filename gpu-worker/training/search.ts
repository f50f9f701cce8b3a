/**
 * A search for the options of a training: trials one after the other as search-plan.ts has them, each a short training
 * of its own with a whole schedule, until one is left. What is known of them is kept in a file, so that a search that
 * was killed goes on with the trial it was at.
 */
import { rm } from "node:fs/promises";
import path from "node:path";
import * as z from "zod";
import { readNote } from "../files/json-file.ts";
import { writeAtomically } from "../files/write-atomically.ts";
import {
  bestSoFar,
  nextTrial,
  roundsOf,
  TrialOptions,
  TrialResult,
  trialsLeft,
} from "./search-plan.ts";
import { shortenPlan } from "./training-plan.ts";
import type { TrainingPlan } from "./training-plan.ts";

export type SearchTrial = {
  readonly result: TrialResult;
  readonly options: TrialOptions;
  /** Steps of the trial, and trials of its round and of the whole search. */
  readonly steps: number;
  readonly ofRound: number;
  readonly rounds: number;
};

export type TrialEnd = Pick<TrialResult, "score" | "loss" | "seconds">;

export type SearchOptions = {
  /** Where the search is kept; it exists. */
  readonly folder: string;
  readonly fingerprint: string;
  /** Decided once: what was kept counts. */
  readonly candidates: () => Promise<readonly TrialOptions[]>;
  /** The whole training of a candidate. */
  readonly planOf: (candidate: TrialOptions) => TrainingPlan;
  /** Of a whole training, estimated. */
  readonly secondsOf: (candidate: TrialOptions) => number;
  /** Of trials and the training after them. */
  readonly maxSeconds: number;
  /** Trains in this folder, or goes on there. @throws the signal's reason */
  readonly train: (plan: TrainingPlan, folder: string, name: string) => Promise<TrialEnd>;
  readonly onTrial: (trial: SearchTrial) => void;
  /** Its time is over: so many trials were run, of all. */
  readonly onOver: (ended: SearchEnd) => void;
};

export type SearchEnd = { readonly trials: number; readonly planned: number };

/** Of the seconds there are, for all trials together. The last that begins in them is run to its end. */
const trialShare = 0.5;
const stepsMin = 8;

const SearchFile = z.object({
  version: z.literal(1),
  fingerprint: z.string(),
  candidates: z.array(TrialOptions).min(1),
  /** What each round's share is lessened by, where there is too little time. */
  scale: z.number().positive().max(1),
  results: z.array(TrialResult),
});
type SearchFile = z.infer<typeof SearchFile>;

const fileName = "search.json";

async function begin(options: SearchOptions): Promise<SearchFile> {
  const { fingerprint, secondsOf, maxSeconds } = options;
  const candidates = [...(await options.candidates())];
  const whole = candidates.reduce((sum, each) => sum + secondsOf(each), 0) / candidates.length;
  const trainings = roundsOf(candidates.length).reduce((sum, { trials, share }) => {
    return sum + trials * share;
  }, 0);
  const scale = Math.min(1, (maxSeconds * trialShare) / (whole * trainings || 1));
  return { version: 1, fingerprint, candidates, scale, results: [] };
}

/** @returns the best options, and the seconds that the trials took. @throws the signal's reason */
export async function searchOptions(
  options: SearchOptions,
): Promise<{ readonly best: TrialOptions; readonly seconds: number }> {
  const { folder, fingerprint, planOf, train, onTrial, onOver } = options;
  const file = path.join(folder, fileName);
  const known = await readNote(file, SearchFile);
  let state = known?.fingerprint === fingerprint ? known : await begin(options);
  const keep = async (next: SearchFile) => {
    state = next;
    await writeAtomically(file, JSON.stringify(state));
  };
  await keep(state);
  const { candidates, scale } = state;
  const rounds = roundsOf(candidates.length);
  for (;;) {
    const next = nextTrial(candidates.length, state.results);
    const candidate = candidates[next.candidate] ?? candidates[0];
    if (candidate === undefined) throw new TypeError("a search needs a candidate");
    const spent = state.results.reduce((sum, { seconds }) => sum + seconds, 0);
    if (next.kind === "best") return { best: candidate, seconds: spent };
    const left = options.maxSeconds * trialShare - spent;
    const pending = trialsLeft(candidates.length, state.results);
    if (left <= 0) {
      const trials = state.results.length;
      onOver({ trials, planned: trials + pending });
      return { best: candidates[bestSoFar(state.results)] ?? candidate, seconds: spent };
    }
    const { trials: ofRound = 0, share = 1 } = rounds[next.round] ?? {};
    const whole = planOf(candidate);
    const plan = {
      ...shortenPlan(whole, {
        steps: Math.max(stepsMin, Math.ceil(whole.steps * share * scale)),
        evaluations: null,
      }),
      maxSeconds: Math.max(1, left / pending),
    };
    const name = `trial-${next.round}-${next.candidate}`;
    const place = path.join(folder, name);
    const end = await train(plan, place, name);
    const result = { candidate: next.candidate, round: next.round, ...end };
    await keep({ ...state, results: [...state.results, result] });
    await rm(place, { recursive: true, force: true });
    const { steps } = plan;
    onTrial({ result, options: candidate, steps, ofRound, rounds: rounds.length });
  }
}
