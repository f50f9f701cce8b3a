/** How often each class was taken for each: sparse, because 10 000 classes have 100 million pairs. */
import { type ConfusionMatrix, reportBounds } from "#contract/training/evaluation-report.ts";
import { boundLabel, boundLabels } from "./bound-texts.ts";
import { sortedLabels } from "./row-counts.ts";
import { requireSameLength } from "./require.ts";

export type ConfusionCounts = {
  /** Sorted: all that are meant or said. */
  labels: string[];
  /** By class meant, then by class said, as indices of `labels`: rows. */
  cells: Map<number, Map<number, number>>;
};

/** scikit-learn's `confusion_matrix`, without its zeros. Throws a RangeError where the lists differ in length. */
export function confusionCounts(
  gold: readonly string[],
  predicted: readonly string[],
): ConfusionCounts {
  requireSameLength(gold, predicted);
  const labels = sortedLabels([...gold, ...predicted]);
  const indexOf = new Map(labels.map((label, at) => [label, at]));
  const cells = new Map<number, Map<number, number>>();
  for (const [row, label] of gold.entries()) {
    const meant = indexOf.get(label) ?? 0;
    const said = indexOf.get(predicted[row] ?? "") ?? 0;
    const counts = cells.get(meant) ?? new Map<number, number>();
    cells.set(meant, counts.set(said, (counts.get(said) ?? 0) + 1));
  }
  return { labels, cells };
}

/** For a report: of too many classes those that most wrong rows are of, and the others as one. */
export function boundConfusion({ labels, cells }: ConfusionCounts): ConfusionMatrix {
  const wrong = new Float64Array(labels.length);
  const rows = flat(cells);
  for (const [meant, said, count] of rows) {
    // Classes that are never confused are chosen last, the commonest of them first.
    const amount = meant === said ? count * 1e-9 : count;
    wrong[meant] = (wrong[meant] ?? 0) + amount;
    wrong[said] = (wrong[said] ?? 0) + amount;
  }
  const order = labels
    .map((_, at) => at)
    .sort((a, b) => (wrong[b] ?? 0) - (wrong[a] ?? 0) || a - b);
  const kept = order.slice(0, reportBounds.confusionClassesMax).sort((a, b) => a - b);
  const others = kept.length < labels.length;
  const places = new Map(kept.map((label, at) => [label, at]));
  const sums = new Map<number, Map<number, number>>();
  for (const [meant, said, count] of rows) {
    const [row, column] = [places.get(meant) ?? kept.length, places.get(said) ?? kept.length];
    const counts = sums.get(row) ?? new Map<number, number>();
    sums.set(row, counts.set(column, (counts.get(column) ?? 0) + count));
  }
  const names = boundLabels(kept.map((at) => labels[at] ?? ""));
  return {
    labels: others ? [...names, boundLabel(`${labels.length - kept.length} other classes`)] : names,
    others,
    classes_total: labels.length,
    cells: flat(sums).sort((a, b) => a[0] - b[0] || a[1] - b[1]),
  };
}

function flat(cells: ConfusionCounts["cells"]): [number, number, number][] {
  return [...cells].flatMap(([meant, counts]) =>
    [...counts].map(([said, count]): [number, number, number] => [meant, said, count]),
  );
}
