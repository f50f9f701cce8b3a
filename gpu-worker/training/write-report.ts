/** The result files of a training: what a program reads, what a person reads, and each step that was logged. */
import path from "node:path";
import type { MetricsStep, TrainingReport } from "#contract/training/evaluation-report.ts";
import { metricsCsv } from "../evaluation/metrics-csv.ts";
import { reportPage } from "../evaluation/report-page.ts";
import { writeAtomically } from "../files/write-atomically.ts";

export async function writeReport(
  folder: string,
  report: TrainingReport,
  steps: readonly MetricsStep[],
): Promise<void> {
  const write = (name: string, text: string) => writeAtomically(path.join(folder, name), text);
  await write("report.json", `${JSON.stringify(report, null, 2)}\n`);
  await write("report.html", await reportPage(report));
  await write("metrics.csv", metricsCsv(steps));
}
