/** Judges texts and bytes as the worker judges files. */
import type { DataReport, FileReport } from "#contract/training/report.ts";
import { DataReport as DataReportSchema } from "#contract/training/report.ts";
import type { DataSource } from "../../gpu-worker/datasets/data-file.ts";
import { judgeData } from "../../gpu-worker/datasets/judge-data.ts";
import type { TokenRules } from "../../gpu-worker/datasets/token-counter.ts";

export const { signal } = new AbortController();

export type Content = string | Uint8Array;

/** @param chunkBytes how the file arrives */
export function sourceOf(
  content: Content,
  name: string | null = null,
  chunkBytes = 65_536,
): DataSource {
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  async function* chunks() {
    for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
  }
  return { name, bytes: chunks() };
}

export async function judge(
  training: DataSource,
  validation: DataSource | null = null,
  tokens: TokenRules | null = null,
): Promise<DataReport> {
  const options = { signal, tokens, onProgress: () => undefined };
  const report = await judgeData({ training, validation }, options);
  // Every report is one that the contract takes.
  return DataReportSchema.parse(report);
}

export async function judgeText(content: Content, name: string | null = null): Promise<FileReport> {
  return (await judge(sourceOf(content, name))).training;
}

/** `line code field` of each problem. */
export function briefly({ problems }: FileReport): string[] {
  return problems.map(({ line, code, field }) =>
    [line, code, field].filter((x) => x !== null).join(" "),
  );
}

export function jsonl(values: readonly unknown[]): string {
  return values.map((value) => `${JSON.stringify(value)}\n`).join("");
}
