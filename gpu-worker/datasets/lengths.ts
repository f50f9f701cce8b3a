/** How long examples are. Counts each length: a file of 100 MB has texts of at most 14 000 different lengths. */
import type { LengthHistogram } from "#contract/training/report.ts";

const bounds = [16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384];

export class Lengths {
  readonly #counts = new Map<number, number>();

  add(length: number): void {
    this.#counts.set(length, (this.#counts.get(length) ?? 0) + 1);
  }

  /** Null: nothing was counted. @param modelReads null: no bound is known */
  histogram(unit: "characters" | "tokens", modelReads: number | null): LengthHistogram | null {
    const counts = [...this.#counts].sort(([a], [b]) => a - b);
    const total = counts.reduce((sum, [, count]) => sum + count, 0);
    if (total === 0) return null;
    const longerThan = (bound: number) =>
      counts.reduce((sum, [length, count]) => sum + (length > bound ? count : 0), 0);
    const used = bounds.slice(0, bounds.findIndex((bound) => longerThan(bound) === 0) + 1);
    const shown = used.length > 0 ? used : [...bounds, null];
    const atMost = (bound: number | null) => total - (bound === null ? 0 : longerThan(bound));
    return {
      unit,
      min: counts[0]?.[0] ?? 0,
      median: rank(counts, total * 0.5),
      p95: rank(counts, total * 0.95),
      max: counts.at(-1)?.[0] ?? 0,
      mean: counts.reduce((sum, [length, count]) => sum + length * count, 0) / total,
      buckets: shown.map((bound, at) => ({
        up_to: bound,
        examples: atMost(bound) - (at === 0 ? 0 : atMost(shown[at - 1] ?? 0)),
      })),
      model_reads: modelReads,
      too_long: modelReads === null ? 0 : longerThan(modelReads),
    };
  }
}

/** The least length that so many examples do not pass: the nearest-rank percentile. */
function rank(counts: readonly (readonly [number, number])[], wanted: number): number {
  let sum = 0;
  for (const [length, count] of counts) if ((sum += count) >= wanted) return length;
  return counts.at(-1)?.[0] ?? 0;
}
