/** The latency of a model from the times its rows took one by one. */
import type { Latency } from "#contract/training/evaluation-report.ts";
import { quantile } from "./quantile.ts";
import { requireFinite } from "./require.ts";

/** Null without times. Throws a RangeError where one is not finite. */
export function summarizeLatency(milliseconds: readonly number[]): Latency | null {
  requireFinite(milliseconds, "milliseconds");
  if (milliseconds.length === 0) return null;
  const ascending = Float64Array.from(milliseconds).sort();
  return { p50_ms: quantile(ascending, 0.5), p95_ms: quantile(ascending, 0.95) };
}
