/** Held-out rows with what both systems said of them, by kind of task. All lists of one kind are of the same length. */

/** What a system said, and how sure it was, 0 … 1: the surest mistakes are shown first. */
export type Predictions<T> = { values: readonly T[]; confidences?: readonly number[] };

type Rows<Kind extends string, Expected, Said = Expected> = {
  kind: Kind;
  /** What a person is shown of each row. */
  texts: readonly string[];
  expected: readonly Expected[];
  base: Predictions<Said>;
  tuned: Predictions<Said>;
};

/** `ignoredLabel`: one that is predicted but not scored, as Other of SemEval-2010 task 8. */
export type ClassRows = Rows<"classes", string> & { ignoredLabel?: string };

/** Any number of classes each, of `labels`. */
export type LabelSetRows = Rows<"label_sets", readonly string[]> & { labels: readonly string[] };

/** Tags of IOB2, sentence by sentence. */
export type TagRows = Rows<"tags", readonly string[]>;

/** Answers that each do; none where the text has no answer. */
export type AnswerRows = Rows<"answers", readonly string[], string>;

/** Similarities are judged by their order, values of a regression by their distance. */
export type SimilarityRows = Rows<"similarities", number>;
export type ValueRows = Rows<"values", number>;

/** Of each text the log likelihood (natural logarithm) of all its tokens, and how many of them were the likeliest. */
export type TextScores = {
  readonly logLikelihoods: readonly number[];
  readonly hits?: readonly number[];
};

/** Texts, and how many tokens of each are predicted. */
export type TextRows = {
  kind: "texts";
  texts: readonly string[];
  tokens: readonly number[];
  base: TextScores;
  tuned: TextScores;
};

/** Texts that each look for their own among so many candidates, and at which place they find it, from 1 on. */
export type RankRows = {
  kind: "ranks";
  texts: readonly string[];
  candidates: number;
  base: { ranks: readonly number[] };
  tuned: { ranks: readonly number[] };
};

export type HeldOut =
  | ClassRows
  | LabelSetRows
  | TagRows
  | AnswerRows
  | SimilarityRows
  | ValueRows
  | TextRows
  | RankRows;

/** The majority's answer for every row: what a model that has learnt nothing but the labels' counts says. */
export function majorityPredictions(
  trainingLabels: readonly string[],
  rows: number,
): Predictions<string> {
  const counts = new Map<string, number>();
  for (const label of trainingLabels) counts.set(label, (counts.get(label) ?? 0) + 1);
  const [first] = [...counts].sort((a, b) => b[1] - a[1]);
  if (first === undefined) throw new RangeError("no label to take the commonest of");
  return { values: Array.from({ length: rows }, () => first[0]) };
}
