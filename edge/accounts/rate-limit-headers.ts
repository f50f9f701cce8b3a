/**
 * The quota as headers, worded as OpenAI's clients read them: on every answer, `retry-after` on a 429 that a minute
 * cures. Of one that stays until the next day it says nothing, as OpenAI's does not: clients that know no
 * `x-should-retry` would wait as long as they ever do (Cohere's two minutes) to be told the same.
 */
import type { QuotaDecision } from "./quota-ledger.ts";

/** A place among the open requests may come free at any moment. */
const openRetrySeconds = 1;

/** @param limited the answer is a 429; on others clients would wait, or resend at once, for no reason */
export function rateLimitHeaders(decided: QuotaDecision, limited: boolean): Record<string, string> {
  const { requests, units } = decided.snapshot;
  return {
    "x-ratelimit-limit-requests": String(requests.limit),
    "x-ratelimit-remaining-requests": String(requests.remaining),
    "x-ratelimit-reset-requests": formatDuration(requests.resetMs),
    "x-ratelimit-limit-tokens": String(units.limit),
    "x-ratelimit-remaining-tokens": String(units.remaining),
    "x-ratelimit-reset-tokens": formatDuration(units.resetMs),
    ...(limited && decided.refusal !== "day"
      ? { "retry-after": String(retryAfterSeconds(decided)) }
      : {}),
  };
}

/** Whole seconds until another request can be let through; 0 where one can be now. */
function retryAfterSeconds({ snapshot: { requests }, refusal }: QuotaDecision): number {
  if (requests.remaining === 0) return seconds(requests.resetMs);
  return refusal === "open" ? openRetrySeconds : 0;
}

export function seconds(milliseconds: number): number {
  return Math.ceil(milliseconds / 1_000);
}

/** OpenAI's durations: `120ms`, `1s`, `6m0s`, `23h59m59s`. Rounded up to whole seconds from one second on. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds > 0 && milliseconds < 1_000) return `${Math.ceil(milliseconds)}ms`;
  const total = seconds(milliseconds);
  const hours = Math.floor(total / 3_600);
  const minutes = Math.floor((total % 3_600) / 60);
  const rest = total % 60;
  if (hours > 0) return `${hours}h${minutes}m${rest}s`;
  return minutes > 0 ? `${minutes}m${rest}s` : `${rest}s`;
}
