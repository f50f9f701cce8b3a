import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { QuietTime } from "../../gpu-worker/jobs/idle-timer.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("says once after each busy time that it is quiet, and not while something is done", () => {
  let busy = false;
  let times = 0;
  const quiet = new QuietTime({ afterMs: 100, isBusy: () => busy, onQuiet: () => (times += 1) });
  vi.advanceTimersByTime(1_000);
  expect(times).toBe(1);
  quiet.begin();
  vi.advanceTimersByTime(99);
  quiet.begin();
  vi.advanceTimersByTime(99);
  expect(times).toBe(1);
  vi.advanceTimersByTime(1_000);
  expect(times).toBe(2);
  quiet.begin();
  busy = true;
  vi.advanceTimersByTime(1_000);
  expect(times).toBe(2);
  busy = false;
  quiet.begin();
  quiet.stop();
  vi.advanceTimersByTime(1_000);
  expect(times).toBe(2);
});
