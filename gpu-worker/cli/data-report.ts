/** A report on training files for a terminal: what is wrong first, then what the examples are like. */
import { wordsOfProblem } from "#contract/training/problems.ts";
import type { DataReport, FileReport, LengthHistogram } from "#contract/training/report.ts";
import { leakageInWords } from "../datasets/data-words.ts";
import { formatTable } from "./table.ts";

const problemsShown = 50;
const labelsShown = 30;
const barWidth = 30;

type Names = { training: string; validation: string | null };

export function reportInWords({ training, validation, leakage }: DataReport, names: Names): string {
  const parts = [
    ...wordsOfFile(training, names.training),
    ...(validation === null ? [] : wordsOfFile(validation, names.validation ?? "")),
    ...(leakage === null || leakage.examples === 0 ? [] : [`note: ${leakageInWords(leakage)}`]),
  ];
  return plain(parts.join("\n\n"));
}

/** A file's own words cannot move the terminal's cursor or change its colours. */
export function plain(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, (sign) => (sign === "\n" ? sign : "\ufffd"));
}

function wordsOfFile(report: FileReport, name: string): string[] {
  return [
    wordsOfForm(report, name),
    ...(report.problems.length > 0 ? [wordsOfProblems(report)] : []),
    ...(report.notices.length > 0
      ? [report.notices.map((words) => `note: ${words}`).join("\n")]
      : []),
    ...(report.labels === null ? [] : [labelTable(report.labels)]),
    ...[report.tokens ?? report.characters].flatMap((each) =>
      each === null ? [] : [lengthTable(each)],
    ),
  ];
}

function wordsOfForm(
  { container, form, task, examples, bad_examples: bad, bytes }: FileReport,
  name: string,
) {
  const what = form === null ? "of no form" : `${container}, ${form}, for ${task}`;
  return `${name}: ${what}; ${examples} good examples, ${bad} bad, ${bytes} bytes`;
}

function wordsOfProblems({ problems, problem_counts: counts }: FileReport): string {
  const shown = problems.slice(0, problemsShown).map(wordsOfProblem);
  const total = Object.values(counts).reduce((sum: number, count) => sum + count, 0);
  if (total <= shown.length) return shown.join("\n");
  const rows = Object.entries(counts).map(([code, count]) => [code, String(count)]);
  const more = `and ${total - shown.length} more problems; all of them by kind:`;
  return [...shown, more, formatTable(["PROBLEM", "COUNT"], rows)].join("\n");
}

function labelTable(labels: NonNullable<FileReport["labels"]>): string {
  const most = Math.max(...labels.map(({ examples }) => examples), 1);
  const rows = labels
    .slice(0, labelsShown)
    .map(({ label, examples }) => [label, String(examples), barOf(examples / most)]);
  const more =
    labels.length > rows.length ? `\nand ${labels.length - rows.length} more labels` : "";
  return formatTable(["LABEL", "COUNT", ""], rows) + more;
}

function lengthTable({ unit, min, median, p95, max, buckets }: LengthHistogram): string {
  const most = Math.max(...buckets.map(({ examples }) => examples), 1);
  const rows = buckets.map(({ up_to: bound, examples }) => [
    bound === null ? "more" : `≤ ${bound}`,
    String(examples),
    barOf(examples / most),
  ]);
  const head = [
    unit.toUpperCase(),
    "COUNT",
    `min ${min}, median ${median}, 95 % ≤ ${p95}, max ${max}`,
  ];
  return formatTable(head, rows);
}

function barOf(share: number): string {
  return "█".repeat(Math.ceil(share * barWidth));
}
