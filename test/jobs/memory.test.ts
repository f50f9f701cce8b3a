/** What fifty of the largest requests at once make of the worker's memory, in a process of its own. */
import { spawnSync } from "node:child_process";
import path from "node:path";
import process from "node:process";
import { describe, expect, it } from "vitest";

// Elsewhere a process does not say what its peak was.
describe.runIf(process.platform === "linux")("fifty of the largest requests at once", () => {
  it("are answered or refused, and the worker stays below 1.2 GB", () => {
    const script = path.join(import.meta.dirname, "fifty-requests.ts");
    const ended = spawnSync(process.execPath, [script], { encoding: "utf8" });
    const { status, signal, stdout, stderr } = ended;
    expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: "" });
    const { outcomes, peakBytes } = JSON.parse(stdout);
    expect(outcomes).toHaveLength(50);
    const allowed = ["succeeded", "context_length_exceeded", "invalid_value"];
    for (const outcome of outcomes) expect(allowed).toContain(outcome);
    expect(outcomes.filter((each: string) => each === "succeeded").length).toBeGreaterThan(25);
    expect(peakBytes).toBeLessThan(1.2e9);
  }, 480_000);
});
