/** Words for callers within their bounds: what is too long is cut, never a reason to fail. */
import { limits } from "./limits.ts";

/** At most so many UTF-16 units; what was cut ends in "…", and no character is cut in two. */
export function cutText(text: string, charactersMax: number): string {
  if (text.length <= charactersMax) return text;
  return `${text.slice(0, charactersMax - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}

/** Each once and within its bound; of too many the last says how many more there were. */
export function cutWarnings(warnings: readonly string[]): string[] {
  const cut = [...new Set(warnings.map((each) => cutText(each, limits.warningCharactersMax)))];
  if (cut.length <= limits.warningsMax) return cut;
  const kept = cut.slice(0, limits.warningsMax - 1);
  return [...kept, `and ${cut.length - kept.length} more warnings`];
}
