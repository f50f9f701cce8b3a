/** A classification report in scikit-learn's own two forms: the dictionary of `output_dict=True` and the text table. */
import type { ClassificationReport } from "./classification-report.ts";

type Scores = { precision: number; recall: number; "f1-score": number; support: number };

/** Rows are `weighted avg` wide at least. */
const nameWidthMin = 12;
const columnWidth = 9;

type Line = { heading: string; row: Scores };

export function reportDict(report: ClassificationReport): Record<string, Scores | number> {
  const { accuracy } = report;
  return Object.fromEntries([
    ...classLines(report).map(({ heading, row }) => [heading, row]),
    ...(accuracy === null ? [] : [["accuracy", accuracy]]),
    ...averageLines(report).map(({ heading, row }) => [heading, row]),
  ]);
}

/** Ends in a line break. Names are as wide as they are: cut them before where that may be wide. */
export function reportText(report: ClassificationReport, digits = 2): string {
  const classes = classLines(report);
  const widths = classes.map(({ heading }) => [...heading].length);
  const width = widths.reduce((a, b) => Math.max(a, b), Math.max(nameWidthMin, digits));
  const lineOf = (heading: string, cells: readonly string[]): string =>
    `${padStart(heading, width)} ${cells.map((cell) => ` ${padStart(cell, columnWidth)}`).join("")}\n`;
  const scoresOf = ({ heading, row }: Line): string =>
    lineOf(heading, [
      toFixedEven(row.precision, digits),
      toFixedEven(row.recall, digits),
      toFixedEven(row["f1-score"], digits),
      String(row.support),
    ]);
  const { accuracy, micro } = report;
  return [
    `${lineOf("", ["precision", "recall", "f1-score", "support"])}\n`,
    ...classes.map(scoresOf),
    "\n",
    accuracy === null
      ? ""
      : lineOf("accuracy", ["", "", toFixedEven(accuracy, digits), String(micro.support)]),
    ...averageLines(report).map(scoresOf),
  ].join("");
}

function classLines({ classes }: ClassificationReport): Line[] {
  return classes.map(({ label, f1, ...rest }) => ({
    heading: label,
    row: { precision: rest.precision, recall: rest.recall, "f1-score": f1, support: rest.support },
  }));
}

function averageLines(report: ClassificationReport): Line[] {
  const names = ["micro", "macro", "weighted", "samples"] as const;
  return names.flatMap((name) => {
    const average = report[name];
    if (average === null || (name === "micro" && report.accuracy !== null)) return [];
    const { f1, precision, recall, support } = average;
    return [{ heading: `${name} avg`, row: { precision, recall, "f1-score": f1, support } }];
  });
}

/** In characters, as Python counts them. */
function padStart(text: string, width: number): string {
  return " ".repeat(Math.max(0, width - [...text].length)) + text;
}

/** As Python formats: a value exactly between two goes to the even digit, where toFixed goes up. */
export function toFixedEven(value: number, digits: number): string {
  const scaled = value * 10 ** digits;
  // Shares are halves of the last digit only as multiples of 1/8, 1/32 …; 0.005 is a little more than a half of it.
  const tied = scaled % 1 === 0.5 && (value * 2 ** 20) % 1 === 0;
  return tied && Math.floor(scaled) % 2 === 0
    ? (Math.floor(scaled) / 10 ** digits).toFixed(digits)
    : value.toFixed(digits);
}
