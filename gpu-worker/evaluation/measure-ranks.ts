/** Figures of retrieval: at which place each text found what belongs to it (Voorhees, TREC-8, 1999). */
import type { RankRows } from "./held-out.ts";
import { type Measured, paired } from "./measured.ts";
import { meanMetric } from "./number-metrics.ts";
import { requireSameLength } from "./require.ts";

export function measureRanks({ texts, candidates, base, tuned }: RankRows): Measured {
  for (const { ranks } of [base, tuned]) requireSameLength(texts, ranks);
  const both = (name: string, of: (rank: number) => number) =>
    paired(name, "higher", {
      base: meanMetric(base.ranks.map(of), name),
      tuned: meanMetric(tuned.ranks.map(of), name),
    });
  const place = (rank: number | undefined) => `place ${rank ?? "?"} of ${candidates}`;
  return {
    tables: [],
    confusion: null,
    rightOrWrong: true,
    rows: texts.length,
    metrics: [
      both("mean_reciprocal_rank", (rank) => 1 / rank),
      both("recall_at_1", (rank) => Number(rank === 1)),
    ],
    outcomes: texts.map((_, row) => ({
      baseScore: 1 / (base.ranks[row] ?? Infinity),
      tunedScore: 1 / (tuned.ranks[row] ?? Infinity),
      confidence: 0,
    })),
    show: (row) => ({
      expected: "place 1",
      base: place(base.ranks[row]),
      tuned: place(tuned.ranks[row]),
    }),
  };
}
