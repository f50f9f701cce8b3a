/** How often each label stands in a file, of at most `labelsMax` labels. */
import type { Fault } from "#contract/training/problems.ts";
import type { LabelCount } from "#contract/training/report.ts";
import { trainingLimits } from "#contract/training/limits.ts";

const { labelsMax } = trainingLimits;

export class LabelCounts {
  readonly #counts = new Map<string, number>();
  readonly #known: ReadonlySet<string> | null;

  /** @param known labels that there may be; null: whatever is found */
  constructor(known: ReadonlySet<string> | null) {
    this.#known = known;
  }

  get names(): ReadonlySet<string> {
    return new Set(this.#counts.keys());
  }

  /** Why an example cannot have these labels; null: it can. */
  faultOf(labels: readonly string[]): Fault | null {
    const stranger = labels.find((label) => this.#known?.has(label) === false);
    if (stranger !== undefined) return { code: "unknown_label", found: stranger };
    const fresh = [...new Set(labels)].filter((label) => !this.#counts.has(label));
    const over = fresh[labelsMax - this.#counts.size];
    if (over === undefined) return null;
    return { code: "too_many_labels", found: over, expected: String(labelsMax) };
  }

  add(labels: readonly string[]): void {
    for (const label of labels) this.#counts.set(label, (this.#counts.get(label) ?? 0) + 1);
  }

  /** The commonest first, equals by name. */
  list(): LabelCount[] {
    return [...this.#counts]
      .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
      .map(([label, examples]) => ({ label, examples }));
  }
}
