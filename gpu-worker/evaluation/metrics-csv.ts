/** The result file metrics.csv, with the columns of OpenAI's: a line for each step that was logged. */
import type { MetricsStep } from "#contract/training/evaluation-report.ts";

const columns = [
  "step",
  "train_loss",
  "train_accuracy",
  "valid_loss",
  "valid_mean_token_accuracy",
] as const satisfies readonly (keyof MetricsStep)[];

/** Null is an empty cell. Throws a RangeError that names step and column where a value is not finite. */
export function metricsCsv(steps: readonly MetricsStep[]): string {
  requireFiniteSteps(steps);
  const lines = steps.map((step) => columns.map((column) => step[column] ?? "").join(","));
  return [columns.join(","), ...lines, ""].join("\n");
}

export function requireFiniteSteps(steps: readonly MetricsStep[]): void {
  for (const step of steps) {
    for (const column of columns) {
      const value = step[column];
      if (value !== null && !Number.isFinite(value))
        throw new RangeError(`${column} of step ${step.step} is ${value}: not a finite number`);
    }
  }
}
