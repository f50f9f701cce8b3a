/** What a report comes to, as people read it. */
import type { Verdict } from "./evaluation-report.ts";

const decisions: Readonly<Record<Verdict["decision"], string>> = {
  deploy: "Deploy",
  no_gain: "No gain",
  more_labels: "More labels needed",
};

export function verdictInWords({ decision, more_labels: more }: Verdict): string {
  return more === null
    ? decisions[decision]
    : `About ${more.toLocaleString("en")} more labels needed`;
}

/** `macro_f1` as "macro F1". */
export function metricName(metric: string): string {
  return metric.replaceAll("_", " ").replace(/\bf1\b/, "F1");
}

/** `1 epoch`, `8 epochs`. */
export function counted(value: number, noun: string): string {
  return `${value} ${noun}${value === 1 ? "" : "s"}`;
}
