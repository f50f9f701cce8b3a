/** Ids remembered for a while. */
import { expect, it } from "vitest";
import { RecentIds } from "../../../edge/jobs/recent-ids.ts";

it("remembers an id for its lifetime, counted from when it was last added", () => {
  const ids = new RecentIds(100, 10);
  ids.add("a", 0);
  expect(ids.has("a", 99)).toBe(true);
  expect(ids.has("a", 100)).toBe(false);
  ids.add("a", 50);
  expect(ids.has("a", 149)).toBe(true);
  expect(ids.has("b", 50)).toBe(false);
});

it("forgets the oldest first where there are too many", () => {
  const ids = new RecentIds(1_000, 2);
  for (const id of ["a", "b", "a", "c"]) ids.add(id, 0);
  expect(["a", "b", "c"].filter((id) => ids.has(id, 1))).toEqual(["a", "c"]);
});
