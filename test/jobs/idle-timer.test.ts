import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { IdleTimer } from "../../gpu-worker/jobs/idle-timer.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("fires once after each busy time, and not while something is under way", () => {
  let busy = false;
  let times = 0;
  const timer = new IdleTimer({ afterMs: 100, isBusy: () => busy, onIdle: () => (times += 1) });
  vi.advanceTimersByTime(1_000);
  expect(times).toBe(1);
  timer.restart();
  vi.advanceTimersByTime(99);
  timer.restart();
  vi.advanceTimersByTime(99);
  expect(times).toBe(1);
  vi.advanceTimersByTime(1_000);
  expect(times).toBe(2);
  timer.restart();
  busy = true;
  vi.advanceTimersByTime(1_000);
  expect(times).toBe(2);
  busy = false;
  timer.restart();
  timer.stop();
  vi.advanceTimersByTime(1_000);
  expect(times).toBe(2);
});
