/** A classification report as a report holds it: of too many classes the worst half and the largest half. */
import { type ClassificationTable, reportBounds } from "#contract/training/evaluation-report.ts";
import { boundLabels } from "./bound-texts.ts";
import type { LabelledRow } from "./classification-report.ts";
import type { MeasuredTable } from "./measured.ts";

export function boundTable({ level, system, report }: MeasuredTable): ClassificationTable {
  const kept = keptClasses(report.classes);
  const names = boundLabels(kept.map(({ label }) => label));
  return {
    level,
    system,
    classes: kept.map((row, at) => ({ ...row, label: names[at] ?? "" })),
    classes_total: report.classes.length,
    accuracy: report.accuracy,
    micro: report.micro,
    macro: report.macro,
    weighted: report.weighted,
    samples: report.samples,
  };
}

function keptClasses(classes: readonly LabelledRow[]): readonly LabelledRow[] {
  const { classRowsMax } = reportBounds;
  if (classes.length <= classRowsMax) return classes;
  const order = classes.map((row, at) => ({ ...row, at }));
  const largest = order.toSorted((a, b) => b.support - a.support || a.at - b.at);
  const kept = new Set(largest.slice(0, classRowsMax / 2).map(({ at }) => at));
  // Of classes that are equally bad the larger says more.
  const worst = largest.toSorted((a, b) => a.f1 - b.f1 || b.support - a.support);
  for (const { at } of worst) if (kept.size < classRowsMax) kept.add(at);
  return classes.filter((_, at) => kept.has(at));
}
