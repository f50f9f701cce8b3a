/** What a caller over a limit is told: which one, how much it is, when it ends. */
import { CodedError } from "#contract/errors.ts";
import type { Ledger } from "./ledgers.ts";
import type { QuotaSnapshot, Refusal } from "./quota-ledger.ts";
import { formatDuration } from "./rate-limit-headers.ts";

export type Refused = {
  refusal: Refusal;
  snapshot: QuotaSnapshot;
  /** What is open at once at most. */
  openRequests: number;
  ledger: Ledger;
};

/** @param units what the request was estimated at; 0: it was not looked at */
export function refusalError(refused: Refused, units: number): CodedError {
  const text = textOf(refused, units);
  const code = refused.refusal === "day" ? "insufficient_quota" : "rate_limit_exceeded";
  return new CodedError(code, `${whoseLimit(refused.ledger)}${text}`);
}

function textOf({ refusal, snapshot, openRequests }: Refused, units: number): string {
  if (refusal === "minute") {
    const { limit, resetMs } = snapshot.requests;
    return `All ${limit} requests of this minute are used. Wait ${formatDuration(resetMs)} and send it again.`;
  }
  if (refusal === "open") {
    return (
      `${openRequests} requests are not finished yet, and no more are taken at once. ` +
      "Wait for one of them to end, and send it again."
    );
  }
  const { limit, remaining, resetMs } = snapshot.units;
  const needed =
    units === 0
      ? `All of the ${limit} tokens a day are used.`
      : `This request needs about ${units} of the ${limit} tokens a day, and ${remaining} are left.`;
  return `${needed} Send less at once, or wait ${formatDuration(resetMs)} until the next UTC day.`;
}

/** @param limit of calls that are refused or ask for what is known, a minute */
export function floodError(ledger: Ledger, limit: number, resetMs: number): CodedError {
  return new CodedError(
    "rate_limit_exceeded",
    `${whoseLimit(ledger)}${limit} calls of this minute were refused, or asked for jobs and models. ` +
      `Wait ${formatDuration(resetMs)}, and then call less often.`,
  );
}

function whoseLimit({ site }: Ledger): string {
  return site === null ? "" : `Of all callers in ${site} together: `;
}
