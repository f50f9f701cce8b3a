/** What both files of a training are like together, in words: what is no fault, and worth knowing before it is trained. */
import { unusedNames } from "#contract/training/label-names.ts";
import type { DataReport, Leakage } from "#contract/training/report.ts";

/** @param names that are given to classes; null: none are. */
export function noticesOfData(
  { training, validation, leakage }: DataReport,
  names: readonly string[] | null,
): string[] {
  const unused = names === null ? null : unusedNames(names, training);
  return [
    ...(unused === null ? [] : [unused]),
    ...(leakage === null || leakage.examples === 0 ? [] : [leakageInWords(leakage)]),
    ...training.notices.map((words) => `Training file: ${words}`),
    ...(validation?.notices ?? []).map((words) => `Validation file: ${words}`),
  ];
}

export function leakageInWords({ examples, conflicts, first }: Leakage): string {
  const [one] = first;
  const where = one === undefined ? "" : ` (line ${one.line} as in line ${one.first_line})`;
  const also = conflicts === 0 ? "" : `, ${conflicts} of them with another answer`;
  const stand =
    examples === 1 ? "validation example also stands" : "validation examples also stand";
  return `${examples} ${stand} in the training file${where}${also}: figures on them flatter, take them out of one file`;
}
