/**
 * L-BFGS: finds the minimum of a smooth convex function from its gradients alone (Nocedal and Wright, Numerical
 * Optimization, algorithms 7.4 and 7.5). Steps are shortened until they satisfy the condition of Armijo; pairs that
 * would spoil the curvature are left out. No chance is involved: equal functions give equal minima.
 */

import { TimeSlices } from "../event-loop/time-slices.ts";
import { dot } from "../tensor/vectors.ts";

export type Objective = {
  readonly size: number;
  /** Writes the gradient at `point` and gives the value there. */
  evaluate(point: Float64Array, gradient: Float64Array): Promise<number>;
};

export type MinimiseOptions = {
  /** Where the search starts; overwritten by where it ends. */
  point: Float64Array;
  /** Ends the search: the largest component of the gradient, by magnitude. */
  gradientTolerance: number;
  iterationsMax: number;
  /** After each iteration. */
  onIteration?(iteration: number): void;
};

export type Minimum = {
  value: number;
  /** The largest component of the gradient, by magnitude. */
  gradientMax: number;
  iterations: number;
  /** False: `iterationsMax` came first, or no step made the value smaller. */
  converged: boolean;
};

/** Steps remembered. More save iterations and cost memory: two vectors each. */
const historyLength = 20;
/** Share of the decrease a gradient promises that a step must give. */
const decreaseMin = 1e-4;
const halvingsMax = 30;

type Pair = {
  /** Of the point. */
  step: Float64Array;
  /** Of the gradient. */
  change: Float64Array;
  /** step · change. */
  curvature: number;
};
type State = { point: Float64Array; gradient: Float64Array; value: number };

export async function minimise(objective: Objective, options: MinimiseOptions): Promise<Minimum> {
  const { point, gradientTolerance, iterationsMax, onIteration } = options;
  const gradient = new Float64Array(objective.size);
  const state: State = { point, gradient, value: await objective.evaluate(point, gradient) };
  const history: Pair[] = [];
  let iterations = 0;
  let moved = true;
  const slices = new TimeSlices();
  while (moved && iterations < iterationsMax && largest(state.gradient) > gradientTolerance) {
    slices.begin();
    moved = await advance(objective, state, { history, slices });
    iterations += 1;
    onIteration?.(iterations);
  }
  const gradientMax = largest(state.gradient);
  const { value } = state;
  return { value, gradientMax, iterations, converged: gradientMax <= gradientTolerance };
}

/** One iteration. @returns whether the value became smaller */
async function advance(
  objective: Objective,
  state: State,
  { history, slices }: { history: Pair[]; slices: TimeSlices },
): Promise<boolean> {
  const direction = await descent(state.gradient, history, slices);
  const slope = dot(direction, state.gradient);
  const next = new Float64Array(objective.size);
  const gradient = new Float64Array(objective.size);
  // Before anything is known of the curvature, a step of length 1 at most.
  let length = history.length === 0 ? Math.min(1, 1 / Math.sqrt(-slope)) : 1;
  for (let halving = 0; halving < halvingsMax; halving += 1, length /= 2) {
    for (let at = 0; at < next.length; at += 1) {
      next[at] = (state.point[at] ?? 0) + length * (direction[at] ?? 0);
    }
    const value = await objective.evaluate(next, gradient);
    if (value <= state.value + decreaseMin * length * slope) {
      remember(history, state, { point: next, gradient, value });
      state.point.set(next);
      state.gradient.set(gradient);
      state.value = value;
      return true;
    }
  }
  return false;
}

function remember(history: Pair[], from: State, to: State): void {
  const step = difference(to.point, from.point);
  const change = difference(to.gradient, from.gradient);
  const curvature = dot(step, change);
  if (curvature <= Number.EPSILON * dot(change, change)) return;
  history.push({ step, change, curvature });
  if (history.length > historyLength) history.shift();
}

/** −H·gradient, H the inverse of the curvature as far as the remembered steps tell it. */
async function descent(
  gradient: Float64Array,
  history: readonly Pair[],
  slices: TimeSlices,
): Promise<Float64Array> {
  const direction = gradient.map((value) => -value);
  const shares = history.map(() => 0);
  for (let at = history.length - 1; at >= 0; at -= 1) {
    const pair = history[at];
    if (pair === undefined) break;
    if (slices.over) await slices.next();
    const share = dot(pair.step, direction) / pair.curvature;
    shares[at] = share;
    addTimes(direction, pair.change, -share);
  }
  const last = history.at(-1);
  if (last !== undefined) scale(direction, last.curvature / dot(last.change, last.change));
  for (const [at, pair] of history.entries()) {
    if (slices.over) await slices.next();
    const share = dot(pair.change, direction) / pair.curvature;
    addTimes(direction, pair.step, (shares[at] ?? 0) - share);
  }
  return direction;
}

function difference(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, at) => value - (b[at] ?? 0));
}

function addTimes(target: Float64Array, vector: Float64Array, factor: number): void {
  for (let at = 0; at < target.length; at += 1) {
    target[at] = (target[at] ?? 0) + factor * (vector[at] ?? 0);
  }
}

function scale(vector: Float64Array, factor: number): void {
  for (let at = 0; at < vector.length; at += 1) vector[at] = (vector[at] ?? 0) * factor;
}

function largest(vector: Float64Array): number {
  let most = 0;
  for (const value of vector) most = Math.max(most, Math.abs(value));
  return most;
}
