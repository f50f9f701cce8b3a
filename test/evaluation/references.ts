/** What made/make_references.py wrote. */
import answers from "./made/answers.json" with { type: "json" };
import references from "./made/references.json" with { type: "json" };

export { answers, references };

type Scores = Record<string, number>;

/** A dictionary of scikit-learn's or seqeval's report, flat: one number for each row and column. */
export function flatReport(report: Readonly<Record<string, Scores | number>>): Scores {
  return Object.fromEntries(
    Object.entries(report).flatMap(([name, row]) =>
      typeof row === "number"
        ? [[name, row]]
        : Object.entries(row).map(([column, value]): [string, number] => [
            `${name} ${column}`,
            value,
          ]),
    ),
  );
}

/** Whether `found` has the same names in the same order, and their values to 1e-12. */
export function nearlyEqual(found: Scores, expected: Scores): boolean {
  const [names, others] = [Object.keys(found), Object.keys(expected)];
  return (
    names.length === others.length &&
    names.every((name, at) => name === others[at]) &&
    names.every((name) => Math.abs((found[name] ?? NaN) - (expected[name] ?? NaN)) <= 1e-12)
  );
}
