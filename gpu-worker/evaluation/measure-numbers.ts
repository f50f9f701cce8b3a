/** Figures of answers, similarities, values and texts: no classes, so no tables. */
import { scoreAnswer } from "./answer-scores.ts";
import type { AnswerRows, SimilarityRows, TextRows, ValueRows } from "./held-out.ts";
import { type Measured, paired } from "./measured.ts";
import {
  hitShare,
  meanAbsoluteError,
  meanMetric,
  meanSquaredError,
  pearson,
  perplexity,
  spearman,
} from "./number-metrics.ts";
import { requireSameLength } from "./require.ts";
import type { RowMetric } from "./row-counts.ts";

export function measureAnswers(rows: AnswerRows): Measured {
  const { expected, base, tuned } = rows;
  const scores = [base, tuned].map(({ values }) => {
    requireSameLength(expected, values);
    return values.map((said, row) => scoreAnswer(expected[row] ?? [], said));
  });
  const both = (key: "exactMatch" | "f1") => {
    const [first, second] = scores.map((list) =>
      meanMetric(
        list.map((each) => each[key]),
        key,
      ),
    );
    return { base: first ?? none, tuned: second ?? none };
  };
  return {
    ...withoutClasses,
    rows: expected.length,
    metrics: [
      paired("answer_f1", "higher", both("f1")),
      paired("exact_match", "higher", both("exactMatch")),
    ],
    // Right by F1: the words of the answer, in any order.
    rightOrWrong: true,
    outcomes: expected.map((_, row) => ({
      baseScore: scores[0]?.[row]?.f1 ?? 0,
      tunedScore: scores[1]?.[row]?.f1 ?? 0,
      confidence: tuned.confidences?.[row] ?? 0,
    })),
    show: (row) => ({
      expected: (expected[row] ?? []).join(" | "),
      base: base.values[row] ?? "",
      tuned: tuned.values[row] ?? "",
    }),
  };
}

export function measureSimilarities(rows: SimilarityRows): Measured {
  return {
    ...measureDistances(rows),
    metrics: [
      paired("spearman", "higher", ofBoth(rows, spearman)),
      paired("pearson", "higher", ofBoth(rows, pearson)),
    ],
  };
}

export function measureValues(rows: ValueRows): Measured {
  return {
    ...measureDistances(rows),
    metrics: [
      paired("mean_squared_error", "lower", ofBoth(rows, meanSquaredError)),
      paired("mean_absolute_error", "lower", ofBoth(rows, meanAbsoluteError)),
    ],
  };
}

export const tokenAccuracy = "token_accuracy";

export function measureTexts({ texts, tokens, base, tuned }: TextRows): Measured {
  const perToken = (sums: readonly number[], row: number): number =>
    (sums[row] ?? 0) / Math.max(1, tokens[row] ?? 0);
  return {
    ...withoutClasses,
    rows: texts.length,
    metrics: [
      paired("perplexity", "lower", {
        base: perplexity(base.logLikelihoods, tokens),
        tuned: perplexity(tuned.logLikelihoods, tokens),
      }),
      ...(base.hits && tuned.hits
        ? [
            paired(tokenAccuracy, "higher", {
              base: hitShare(base.hits, tokens),
              tuned: hitShare(tuned.hits, tokens),
            }),
          ]
        : []),
    ],
    outcomes: texts.map((_, row) => ({
      baseScore: perToken(base.logLikelihoods, row),
      tunedScore: perToken(tuned.logLikelihoods, row),
      confidence: 0,
    })),
    show: (row) => ({
      expected: `${tokens[row] ?? 0} tokens`,
      base: `perplexity ${Math.exp(-perToken(base.logLikelihoods, row)).toPrecision(4)}`,
      tuned: `perplexity ${Math.exp(-perToken(tuned.logLikelihoods, row)).toPrecision(4)}`,
    }),
  };
}

const none: RowMetric = () => Number.NaN;

const withoutClasses = { tables: [], confusion: null, rightOrWrong: false };

type NumberRows = SimilarityRows | ValueRows;

function measureDistances({ expected, base, tuned }: NumberRows): Omit<Measured, "metrics"> {
  const distance = (said: number | undefined, row: number): number =>
    -Math.abs((said ?? 0) - (expected[row] ?? 0));
  return {
    ...withoutClasses,
    rows: expected.length,
    outcomes: expected.map((_, row) => ({
      baseScore: distance(base.values[row], row),
      tunedScore: distance(tuned.values[row], row),
      confidence: 0,
    })),
    show: (row) => ({
      expected: numberInWords(expected[row]),
      base: numberInWords(base.values[row]),
      tuned: numberInWords(tuned.values[row]),
    }),
  };
}

function ofBoth(
  { expected, base, tuned }: NumberRows,
  metric: (gold: readonly number[], predicted: readonly number[]) => RowMetric,
): { base: RowMetric; tuned: RowMetric } {
  return { base: metric(expected, base.values), tuned: metric(expected, tuned.values) };
}

function numberInWords(value: number | undefined): string {
  return value === undefined ? "" : String(Number(value.toPrecision(5)));
}
