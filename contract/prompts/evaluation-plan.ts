/**
 * How a prompt is evaluated and improved, in numbers: how labelled examples are divided, which numbers of shots are
 * tried, and which candidates are judged on how many examples (successive halving: Karnin, Koren and Somekh 2013). Both
 * sides of the queue count by it: one to say what it will cost, the other to do it.
 */
export const evaluationLimits = {
  examplesMax: 500,
  /** Fewer cannot be divided. */
  optimisedExamplesMin: 20,
  labelsMax: 100,
  labelCharactersMax: 200,
  variantsMax: 8,
  maxTokensMax: 512,
  missesMax: 20,
} as const;

/** Examples of each: what the shots are chosen from, what candidates are judged on, what the winner is judged on. */
export type Division = { readonly pool: number; readonly judged: number; readonly heldOut: number };

const poolMax = 64;

export function divisionOf(examples: number): Division {
  const heldOut = Math.ceil(examples * 0.4);
  const pool = Math.min(poolMax, Math.floor((examples - heldOut) / 3));
  return { pool, judged: examples - heldOut - pool, heldOut };
}

/** Shots of each set that is tried in place of the prompt's own; sets of equally many differ in their examples. */
const shotSets = [4, 4, 8];

export function shotSetsOf({ pool }: Division): number[] {
  return shotSets.map((shots) => Math.min(shots, pool)).filter((shots) => shots > 0);
}

/** Candidates that are still in, judged on the examples from `from` to `to`. */
export type Round = { readonly candidates: number; readonly from: number; readonly to: number };

const firstRound = 8;

/** The better half goes on, to as many examples again as it was judged on, until one is left or the examples are. */
export function roundsOf(candidates: number, judged: number): Round[] {
  const rounds: Round[] = [];
  let [left, from, to] = [candidates, 0, Math.min(firstRound, judged)];
  while (left > 1 && to > from) {
    rounds.push({ candidates: left, from, to });
    left = Math.ceil(left / 2);
    [from, to] = [to, Math.min(2 * to, judged)];
  }
  return rounds;
}
