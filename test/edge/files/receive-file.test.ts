/** How slowly a file may arrive. */
import { expect, it } from "vitest";
import { isTooSlow } from "../../../edge/files/receive-file.ts";

it.each([
  [0, 30_000, false],
  [0, 30_001, true],
  [60, 60_000, true],
  [64_000 * 30, 60_000, false],
  [64_000 * 30, 60_001, true],
  [100 * 2 ** 20, 1_600_000, false],
])("takes %i bytes in %i ms: too slow is %s", (bytes, milliseconds, slow) => {
  expect(isTooSlow(bytes, milliseconds)).toBe(slow);
});
