/** Training and validation file, each by itself and both together. */
import type { DataReport } from "#contract/training/report.ts";
import type { DataSource } from "./data-file.ts";
import { judgeFile, type JudgeOptions } from "./judge-file.ts";

export type DataFiles = {
  training: DataSource;
  /** Null: there is none. */
  validation: DataSource | null;
};

/** @throws what a source throws, or the signal's reason */
export async function judgeData(
  { training, validation }: DataFiles,
  options: Omit<JudgeOptions, "training">,
): Promise<DataReport> {
  const first = await judgeFile(training, { ...options, training: null });
  if (validation === null) return { training: first.report, validation: null, leakage: null };
  const second = await judgeFile(validation, { ...options, training: first });
  return { training: first.report, validation: second.report, leakage: second.leakage };
}
