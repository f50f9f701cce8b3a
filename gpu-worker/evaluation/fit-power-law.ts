/**
 * A learning curve as a power law, error = scale · labels^−exponent + floor (Hestness et al. 2017; Rosenfeld et al.
 * 2020), by least squares with scale and floor not below 0. For each exponent the best scale and floor are a line
 * through the points; the exponent is found by a grid and the golden section.
 */
import type { PowerLaw } from "#contract/training/evaluation-report.ts";

export type ErrorPoint = { labels: number; error: number };

const exponentMin = 0.01;
const exponentMax = 3;
const gridSize = 120;
const goldenSteps = 60;

/** Of at least one point. */
export function fitPowerLaw(points: readonly ErrorPoint[]): PowerLaw {
  const grid = Array.from({ length: gridSize }, (_, at) => exponentAt(at / (gridSize - 1)));
  const squares = grid.map((exponent) => fitLine(points, exponent).squares);
  const best = squares.indexOf(Math.min(...squares));
  const exponent = goldenSection(
    (x) => fitLine(points, x).squares,
    grid[Math.max(0, best - 1)] ?? exponentMin,
    grid[Math.min(gridSize - 1, best + 1)] ?? exponentMax,
  );
  const line = fitLine(points, exponent);
  const found = line.squares <= Math.min(...squares) ? exponent : (grid[best] ?? exponent);
  const { scale, floor, squares: left } = fitLine(points, found);
  return { scale, exponent: found, floor, root_mean_square: Math.sqrt(left / points.length) };
}

/** Infinity where the curve never falls so far. */
export function labelsAt(law: PowerLaw, error: number): number {
  if (error <= law.floor) return Number.POSITIVE_INFINITY;
  return (law.scale / (error - law.floor)) ** (1 / law.exponent);
}

export function errorAt(law: PowerLaw, labels: number): number {
  return law.scale * labels ** -law.exponent + law.floor;
}

function exponentAt(share: number): number {
  return exponentMin * (exponentMax / exponentMin) ** share;
}

function fitLine(points: readonly ErrorPoint[], exponent: number) {
  const count = points.length;
  let [x, y, xx, xy] = [0, 0, 0, 0];
  for (const { labels, error } of points) {
    const power = labels ** -exponent;
    x += power;
    y += error;
    xx += power * power;
    xy += power * error;
  }
  const spread = count * xx - x * x;
  let scale = spread <= 0 ? 0 : (count * xy - x * y) / spread;
  let floor = (y - scale * x) / count;
  if (floor < 0) [scale, floor] = [xy / xx, 0];
  if (scale < 0) [scale, floor] = [0, y / count];
  let squares = 0;
  for (const { labels, error } of points)
    squares += (scale * labels ** -exponent + floor - error) ** 2;
  return { scale, floor, squares };
}

function goldenSection(valueAt: (x: number) => number, from: number, to: number): number {
  const golden = (Math.sqrt(5) - 1) / 2;
  let [low, high] = [from, to];
  for (let step = 0; step < goldenSteps; step += 1) {
    const width = golden * (high - low);
    if (valueAt(high - width) <= valueAt(low + width)) high = low + width;
    else low = high - width;
  }
  return (low + high) / 2;
}
