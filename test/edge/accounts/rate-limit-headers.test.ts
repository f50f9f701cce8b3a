/** Durations as OpenAI writes them, and the headers made of them. */
import { expect, it } from "vitest";
import { formatDuration, rateLimitHeaders } from "../../../edge/accounts/rate-limit-headers.ts";

it.each([
  [0, "0s"],
  [1, "1ms"],
  [999, "999ms"],
  [1_000, "1s"],
  [1_001, "2s"],
  [60_000, "1m0s"],
  [360_000, "6m0s"],
  [3_600_000, "1h0m0s"],
  [86_399_000, "23h59m59s"],
])("%d ms is %s", (milliseconds, text) => {
  expect(formatDuration(milliseconds)).toBe(text);
});

it("says when to come back", () => {
  const requests = { limit: 60, remaining: 0, resetMs: 41_500 };
  const units = { limit: 1_000, remaining: 5, resetMs: 3_600_000 };
  expect(rateLimitHeaders({ snapshot: { requests, units }, refusal: "minute" }, true)).toEqual({
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-requests": "0",
    "x-ratelimit-reset-requests": "42s",
    "x-ratelimit-limit-tokens": "1000",
    "x-ratelimit-remaining-tokens": "5",
    "x-ratelimit-reset-tokens": "1h0m0s",
    "retry-after": "42",
  });
});

it("says when to come back where that is soon, and not where the day's units are used", () => {
  const requests = { limit: 60, remaining: 59, resetMs: 41_500 };
  const units = { limit: 1_000, remaining: 5, resetMs: 3_600_000 };
  const snapshot = { requests, units };
  expect(rateLimitHeaders({ snapshot, refusal: "day" }, true)).not.toHaveProperty("retry-after");
  expect(rateLimitHeaders({ snapshot, refusal: null }, true)["retry-after"]).toBe("0");
  expect(rateLimitHeaders({ snapshot, refusal: "open" }, true)["retry-after"]).toBe("1");
  expect(rateLimitHeaders({ snapshot, refusal: null }, false)).not.toHaveProperty("retry-after");
});
