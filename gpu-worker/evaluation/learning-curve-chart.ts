/** Learning curves: losses and accuracies over steps, and the figure over labels with its power law. */
import type { Spec } from "vega";
import type { PowerLaw, TrainingReport } from "#contract/training/evaluation-report.ts";
import { drawChart } from "./charts.ts";
import { errorAt } from "./fit-power-law.ts";

export type CurvePoint = { x: number; y: number; series: string };

/** A series of more points is a line alone. */
const dottedPointsMax = 30;

type Steps = TrainingReport["learning_curve"]["steps"];

export function lossPoints(steps: Steps): CurvePoint[] {
  return pointsOf(steps, { "training loss": "train_loss", "validation loss": "valid_loss" });
}

export function accuracyPoints(steps: Steps): CurvePoint[] {
  return pointsOf(steps, {
    "training accuracy": "train_accuracy",
    "validation accuracy": "valid_mean_token_accuracy",
  });
}

/** Beside the measured points the fitted curve, up to twice as many labels. */
export function sizePoints(
  { sizes, fit }: { sizes: TrainingReport["learning_curve"]["sizes"]; fit: PowerLaw | null },
  better: "higher" | "lower",
): CurvePoint[] {
  const measured = sizes.map(({ labels, score }) => ({ x: labels, y: score, series: "measured" }));
  if (fit === null) return measured;
  const labels = sizes.map((size) => size.labels);
  const [smallest, largest] = [Math.min(...labels), Math.max(...labels)];
  const fitted = Array.from({ length: fittedPoints }, (_, at) => {
    const x = smallest * ((2 * largest) / smallest) ** (at / (fittedPoints - 1));
    const error = errorAt(fit, x);
    return { x, y: better === "higher" ? 1 - error : error, series: "power law" };
  });
  return [...measured, ...fitted];
}

const fittedPoints = 40;

export function drawCurve(
  points: readonly CurvePoint[],
  titles: { x: string; y: string },
): Promise<string> {
  return drawChart({ height: 220, ...curveSpec(points, titles) });
}

function curveSpec(points: readonly CurvePoint[], titles: { x: string; y: string }): Spec {
  const place = {
    x: { scale: "x", field: "x" },
    y: { scale: "y", field: "y" },
  } as const;
  const dotted = dottedSeries(points);
  const color = { scale: "color", field: "series" } as const;
  return {
    data: [
      { name: "points", values: points.map((point) => ({ ...point })) },
      { name: "dotted", values: points.filter((point) => dotted.has(point.series)) },
    ],
    scales: [
      { name: "x", type: "linear", range: "width", domain: column("x"), zero: false, nice: true },
      { name: "y", type: "linear", range: "height", domain: column("y"), zero: false, nice: true },
      {
        name: "color",
        type: "ordinal",
        domain: column("series"),
        range: ["var(--first)", "var(--second)"],
      },
    ],
    axes: [
      { orient: "bottom", scale: "x", title: titles.x, tickCount: 5 },
      { orient: "left", scale: "y", title: titles.y, grid: true, tickCount: 5 },
    ],
    legends: [{ stroke: "color", symbolType: "stroke", direction: "horizontal" }],
    marks: [
      {
        type: "group",
        from: { facet: { name: "line", data: "points", groupby: "series" } },
        marks: [
          {
            type: "line",
            from: { data: "line" },
            encode: { enter: { ...place, stroke: color, strokeWidth: { value: 2 } } },
          },
        ],
      },
      {
        type: "symbol",
        from: { data: "dotted" },
        encode: { enter: { ...place, fill: color, size: { value: 18 } } },
      },
    ],
  };
}

function dottedSeries(points: readonly CurvePoint[]): Set<string> {
  const series = Map.groupBy(points, (point) => point.series);
  return new Set(
    [...series].flatMap(([name, { length }]) => (length <= dottedPointsMax ? [name] : [])),
  );
}

function column(field: string) {
  return { data: "points", field };
}

function pointsOf(
  steps: Steps,
  columns: Readonly<Record<string, Exclude<keyof Steps[number], "step">>>,
): CurvePoint[] {
  return Object.entries(columns).flatMap(([series, key]) =>
    steps.flatMap((step) => {
      const y = step[key];
      return y === null ? [] : [{ x: step.step, y, series }];
    }),
  );
}
