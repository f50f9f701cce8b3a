/** Class names and texts as a report holds them: cut, and of whole characters, whatever they were. */
import { cutText } from "#contract/cut-text.ts";
import { reportBounds } from "#contract/training/report.ts";

export function boundLabel(label: string): string {
  return cutText(label, reportBounds.labelCharactersMax).toWellFormed();
}

/** Names that were told apart by what is cut off are told apart by a number. */
export function boundLabels(labels: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return labels.map((label) => {
    const cut = boundLabel(label);
    const before = seen.get(cut) ?? 0;
    seen.set(cut, before + 1);
    if (before === 0) return cut;
    const mark = ` (${before + 1})`;
    return `${cutText(cut, reportBounds.labelCharactersMax - mark.length)}${mark}`;
  });
}

export function boundText(text: string): string {
  return cutText(text, reportBounds.textCharactersMax).toWellFormed();
}
