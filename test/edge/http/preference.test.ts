/** RFC 7240's header as far as jobs know it. */
import { describe, expect, it } from "vitest";
import { parsePreference, preferenceApplied } from "../../../edge/http/preference.ts";

describe("Prefer", () => {
  it.each([
    [undefined, false, null, null],
    ["", false, null, null],
    ["respond-async", true, null, "respond-async"],
    ["Respond-Async", true, null, "respond-async"],
    ["wait=10", false, 10, "wait=10"],
    ["wait = 10", false, 10, "wait=10"],
    ['wait="10"', false, 10, "wait=10"],
    ["respond-async, wait=10", true, 10, "respond-async, wait=10"],
    ["wait=5, wait=50", false, 5, "wait=5"],
    ["respond-async; foo=bar", true, null, "respond-async"],
    ["handling=lenient, return=minimal", false, null, null],
    ["wait=-1", false, null, null],
    ["wait=1.5", false, null, null],
    ["wait=99999999999", false, null, null],
    ["wait", false, null, null],
  ])("%s", (header, respondAsync, waitSeconds, applied) => {
    const preference = parsePreference(header);
    expect(preference).toEqual({ respondAsync, waitSeconds });
    expect(preferenceApplied(preference)).toBe(applied);
  });
});
