/** The quota as headers, worded as OpenAI's clients read them: on 200 and 429 alike. */
import type { QuotaSnapshot } from "./quota-ledger.ts";

/** @param admitted whether the request they accompany was let through */
export function rateLimitHeaders(snapshot: QuotaSnapshot): Record<string, string> {
  const { requests, units } = snapshot;
  return {
    "x-ratelimit-limit-requests": String(requests.limit),
    "x-ratelimit-remaining-requests": String(requests.remaining),
    "x-ratelimit-reset-requests": formatDuration(requests.resetMs),
    "x-ratelimit-limit-tokens": String(units.limit),
    "x-ratelimit-remaining-tokens": String(units.remaining),
    "x-ratelimit-reset-tokens": formatDuration(units.resetMs),
    "retry-after": String(retryAfterSeconds(snapshot)),
  };
}

/** Whole seconds until another request can be let through; 0 where one can be now. */
function retryAfterSeconds({ requests, units }: QuotaSnapshot): number {
  if (units.remaining === 0) return Math.ceil(units.resetMs / 1_000);
  if (requests.remaining === 0) return Math.ceil(requests.resetMs / 1_000);
  return 0;
}

/** OpenAI's durations: `120ms`, `1s`, `6m0s`, `23h59m59s`. Rounded up to whole seconds from one second on. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds > 0 && milliseconds < 1_000) return `${Math.ceil(milliseconds)}ms`;
  const total = Math.ceil(milliseconds / 1_000);
  const hours = Math.floor(total / 3_600);
  const minutes = Math.floor((total % 3_600) / 60);
  const seconds = total % 60;
  if (hours > 0) return `${hours}h${minutes}m${seconds}s`;
  return minutes > 0 ? `${minutes}m${seconds}s` : `${seconds}s`;
}
