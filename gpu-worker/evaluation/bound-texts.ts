/** Class names and texts as a report holds them: cut, and of whole characters, whatever they were. */
import { cutText } from "#contract/cut-text.ts";
import { reportBounds } from "#contract/training/evaluation-report.ts";

export function boundLabel(label: string): string {
  return shown(label, reportBounds.labelCharactersMax);
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
  return shown(text, reportBounds.textCharactersMax);
}

/** Control characters, which no document may hold, are shown as what cannot be shown. */
function shown(text: string, charactersMax: number): string {
  return cutText(text, charactersMax)
    .toWellFormed()
    .replaceAll(/[^\P{Cc}\n\t]/gu, "\uFFFD");
}
