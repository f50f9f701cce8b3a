/**
 * What to do with a tuned model, and why: deploy, no gain, or more labels. Pure. It is deployed where resampling the
 * held-out rows leaves it better, and where it reaches what was asked for.
 */
import {
  type Comparison,
  type McNemar,
  reportBounds,
  type SizePoint,
  type Verdict,
} from "#contract/training/evaluation-report.ts";
import { metricName } from "#contract/training/report-words.ts";
import { labelsNeeded } from "./labels-needed.ts";

export type VerdictFacts = {
  comparison: Comparison;
  heldOutRows: number;
  mcnemar: McNemar | null;
  /** What the metric must reach; null: better than the base is enough. */
  target: number | null;
  /** The metric after training on so many labels. */
  sizes: readonly SizePoint[];
};

/** With fewer, an interval of resampled rows is narrower than the truth. */
const rowsMin = 20;
const significance = 0.05;

/** Of the base's figure: so much a sum in another order may come to, as of the same texts among others. */
const roundingMax = 1e-5;

/** Signs turned so that more is better. */
type Gain = { by: number; low: number; high: number };

export function decide(facts: VerdictFacts): Verdict {
  const { comparison, target } = facts;
  const { base, tuned, better } = comparison;
  if (base === null || tuned === null)
    return verdict("no_gain", [
      `${sentenceStart(metricName(comparison.metric))} is not defined on the held-out rows.`,
    ]);
  const gain = gainOf(comparison, { base, difference: tuned - base });
  const reached = target === null || (better === "higher" ? tuned >= target : tuned <= target);
  const proven = gain.low > 0 && facts.heldOutRows >= rowsMin;
  const reasons = [gainInWords(comparison, gain), ...doubts(facts), ...testInWords(facts.mcnemar)];
  if (target !== null) reasons.push(targetInWords(comparison, target, reached));
  if (proven && reached) return verdict("deploy", reasons);
  if (gain.low > 0 && reached) {
    const more = rowsMin - facts.heldOutRows;
    const answer = `Hold out ${more} more, by more examples or a larger validation file.`;
    return verdict("more_labels", [...reasons, answer]);
  }
  const sign = better === "higher" ? 1 : -1;
  // What would have shown, with intervals as wide as this one.
  const shown = base + sign * (gain.by - gain.low);
  const goal = proven && target !== null ? target : furthest([shown, target], sign);
  const needed = labelsNeeded({ sizes: facts.sizes, better, goal });
  const answer =
    needed.more === null
      ? `How many more labels would do is not known: ${needed.why}.`
      : `To come to ${digits(goal)}, ${needed.why}.`;
  const decision = needed.more !== null || proven ? "more_labels" : "no_gain";
  return verdict(decision, [...reasons, answer], needed.more);
}

function verdict(
  decision: Verdict["decision"],
  reasons: readonly string[],
  more: number | null = null,
): Verdict {
  return { decision, more_labels: more, reasons: reasons.slice(0, reportBounds.reasonsMax) };
}

function gainOf(
  { better, interval }: Comparison,
  { base, difference }: { base: number; difference: number },
): Gain {
  const [low, high] = [interval?.low ?? Number.NEGATIVE_INFINITY, interval?.high ?? Infinity];
  if (Math.abs(difference) <= roundingMax * Math.abs(base)) {
    return { by: 0, low: Math.min(low, 0), high: Math.max(high, 0) };
  }
  if (better === "higher") return { by: difference, low, high };
  return { by: -difference, low: -high, high: -low };
}

function furthest(goals: readonly (number | null)[], sign: number): number {
  const known = goals.filter((goal) => goal !== null).map((goal) => goal * sign);
  return Math.max(...known) * sign;
}

function gainInWords(comparison: Comparison, gain: Gain): string {
  const { base, tuned, interval } = comparison;
  const name = sentenceStart(metricName(comparison.metric));
  const figures = `${name} went from ${digits(base ?? 0)} to ${digits(tuned ?? 0)}`;
  if (interval === null) return `${figures}; how sure that is cannot be told from these rows.`;
  const range =
    `the difference lies between ${digits(interval.low)} and ${digits(interval.high)} in ` +
    `${Math.round(interval.level * 100)} % of ${interval.draws} resamples`;
  if (gain.low > 0) return `${figures}: better, since ${range}.`;
  if (gain.high < 0) return `${figures}: worse, since ${range}.`;
  return `${figures}: no clear difference, since ${range}.`;
}

function doubts({ heldOutRows }: VerdictFacts): string[] {
  if (heldOutRows >= rowsMin) return [];
  const rows = heldOutRows === 1 ? "held-out row is" : "held-out rows are";
  return [`${heldOutRows} ${rows} too few to tell; ${rowsMin} are the least.`];
}

function testInWords(mcnemar: McNemar | null): string[] {
  if (mcnemar === null) return [];
  const { only_base, only_tuned, p } = mcnemar;
  const counts =
    `The tuned model alone is right on ${only_tuned} rows, the base alone on ${only_base} ` +
    `(McNemar's test: p ${p < 0.0001 ? "below 0.0001" : `= ${p.toFixed(4)}`}`;
  return [`${counts}${p < significance ? "" : ", which chance may do"}).`];
}

function targetInWords(comparison: Comparison, target: number, reached: boolean): string {
  const wanted = `${comparison.better === "higher" ? "at least" : "at most"} ${digits(target)}`;
  return `${reached ? "It is" : "It is not"} ${wanted}, which was asked for.`;
}

function digits(value: number): string {
  return String(Number(value.toPrecision(4)));
}

function sentenceStart(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}
