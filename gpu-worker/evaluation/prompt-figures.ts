/** What the answers to a prompt's examples come to: labels by class, texts by the words that they share. Pure. */
import { evaluationLimits } from "#contract/prompts/evaluation-plan.ts";
import type { Accuracy, PromptFigures, PromptMiss } from "#contract/prompts/prompt-report.ts";
import { sum } from "../tensor/vectors.ts";
import { scoreAnswer } from "./answer-scores.ts";
import { boundText } from "./bound-texts.ts";
import { classCounts } from "./class-counts.ts";
import { classificationReport } from "./classification-report.ts";
import { meanMetric } from "./number-metrics.ts";
import { defaultBootstrap, pairedBootstrap } from "./paired-bootstrap.ts";
import { wilsonInterval, wilsonLevel } from "./wilson.ts";

export type AnsweredExample = {
  /** Of the example, as it was sent. */
  readonly index: number;
  /** JSON of its variables. */
  readonly variables: string;
  readonly expected: string;
  readonly answer: string;
  /** Of the answer, 0 … 1, as the model has it; null: not known. */
  readonly confidence: number | null;
};

export type JudgedExample = AnsweredExample & {
  readonly right: boolean;
  /** The class that the answer names; null: none, or the answers are texts. */
  readonly label: string | null;
  /** Of words. Of labels 1 or 0. */
  readonly f1: number;
};

/** @param labels null: the answers are texts */
export function judge(answered: AnsweredExample, labels: readonly string[] | null): JudgedExample {
  const { expected, answer } = answered;
  if (labels !== null) {
    const label = labelIn(answer, labels);
    const right = label === expected;
    return { ...answered, label, right, f1: Number(right) };
  }
  const { exactMatch, f1 } = scoreAnswer([expected], answer);
  return { ...answered, label: null, right: exactMatch === 1, f1 };
}

/** The label, whatever signs are around it and however it is capitalised. */
function labelIn(answer: string, labels: readonly string[]): string | null {
  const exact = labels.find((label) => label === answer.trim());
  const plain = plainWords(answer);
  return exact ?? labels.find((label) => plainWords(label) === plain) ?? null;
}

function plainWords(text: string): string {
  return text.toLowerCase().replaceAll(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, "");
}

export function accuracyOf(judged: readonly JudgedExample[]): Accuracy {
  const right = countRight(judged);
  const interval = wilsonInterval(right, judged.length);
  return { value: right / judged.length, ...interval, level: wilsonLevel };
}

export function countRight(judged: readonly JudgedExample[]): number {
  return judged.filter(({ right }) => right).length;
}

/** Of one example at least. */
export function figuresOf(
  judged: readonly JudgedExample[],
  labels: readonly string[] | null,
): PromptFigures {
  const table = labels === null ? null : tableOf(judged, labels);
  const exact = judged.filter(({ answer, expected }) => answer === expected).length;
  return {
    examples: judged.length,
    right: countRight(judged),
    accuracy: accuracyOf(judged),
    exact_match: exact / judged.length,
    word_f1: labels === null ? sum(judged.map(({ f1 }) => f1)) / judged.length : null,
    classes: table?.classes ?? null,
    macro_f1: table?.macro.f1 ?? null,
    misses: worstMisses(judged, labels !== null),
  };
}

/** An answer that names no class counts against the class that was meant, and for none. */
function tableOf(judged: readonly JudgedExample[], labels: readonly string[]) {
  const gold = judged.map(({ expected }) => expected);
  const said = judged.map(({ label }) => label ?? "");
  return classificationReport(classCounts(gold, said, labels));
}

function worstMisses(judged: readonly JudgedExample[], areLabels: boolean): PromptMiss[] {
  const badness = ({ confidence, f1 }: JudgedExample) => (areLabels ? (confidence ?? 0) : 1 - f1);
  return judged
    .filter(({ right }) => !right)
    .toSorted((a, b) => badness(b) - badness(a) || a.index - b.index)
    .slice(0, evaluationLimits.missesMax)
    .map((miss) => ({
      index: miss.index,
      variables: boundText(miss.variables),
      expected: boundText(miss.expected),
      answer: boundText(miss.answer),
      score: areLabels ? miss.confidence : miss.f1,
    }));
}

/** Of two prompts on the same examples, in the same order. */
export function differenceOf(base: readonly JudgedExample[], other: readonly JudgedExample[]) {
  const metricOf = (judged: readonly JudgedExample[]) =>
    meanMetric(
      judged.map(({ right }) => Number(right)),
      "right",
    );
  const options = defaultBootstrap(base.length);
  const interval = pairedBootstrap(
    { base: metricOf(base), tuned: metricOf(other) },
    base.length,
    options,
  );
  const { level, draws } = options;
  return {
    value: (countRight(other) - countRight(base)) / base.length,
    low: interval?.low ?? -1,
    high: interval?.high ?? 1,
    level,
    draws,
  };
}
