/** When a webhook delivery is tried next, from what its last try met. Pure. */

/** Seconds before each try; as many tries as entries. */
export type RetrySchedule = readonly number[];

export type Attempt =
  | { kind: "answered"; status: number; retryAfterSeconds: number | null }
  /** No answer: refused connection, timeout, blocked address. */
  | { kind: "unanswered"; reason: string };

export type Verdict =
  | { kind: "delivered" }
  /** The endpoint asked never to be called again. */
  | { kind: "disabled" }
  | { kind: "exhausted" }
  | { kind: "again"; at: number };

const throttleStatuses = new Set([429, 502, 504]);
/** An endpoint's own `Retry-After` counts up to this. */
const retryAfterSecondsMax = 3_600;

function throttleSeconds(attempt: Attempt): number {
  if (attempt.kind === "unanswered" || !throttleStatuses.has(attempt.status)) return 0;
  return Math.min(attempt.retryAfterSeconds ?? 0, retryAfterSecondsMax);
}

/**
 * @param tries tries made so far, this one included
 * @param now ms since the epoch
 */
export function judge(
  attempt: Attempt,
  tries: number,
  schedule: RetrySchedule,
  now: number,
): Verdict {
  if (attempt.kind === "answered") {
    if (attempt.status >= 200 && attempt.status < 300) return { kind: "delivered" };
    if (attempt.status === 410) return { kind: "disabled" };
  }
  const scheduled = schedule[tries];
  if (scheduled === undefined) return { kind: "exhausted" };
  return { kind: "again", at: now + 1_000 * Math.max(scheduled, throttleSeconds(attempt)) };
}
