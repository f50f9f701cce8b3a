/** Whose texts share a step of an engine, told by their seeds, which change nothing that is written greedily. */
import { vi } from "vitest";
import { Sampler } from "../../gpu-worker/llm/sampler.ts";

/** @returns the seeds of each step from now on: what a run gave is handed out in one turn */
export function watchSteps(): { readonly seeds: ReadonlySet<number>[]; stop(): void } {
  const seeds: Set<number>[] = [];
  let step: Set<number> | null = null;
  // oxlint-disable-next-line typescript/unbound-method -- called on the sampler that it is taken from
  const { sample } = Sampler.prototype;
  const spy = vi.spyOn(Sampler.prototype, "sample").mockImplementation(function (
    this: Sampler,
    logits,
    row,
  ) {
    if (step === null) {
      step = new Set();
      seeds.push(step);
      queueMicrotask(() => (step = null));
    }
    step.add(row.parameters.seed);
    return sample.call(this, logits, row);
  });
  return { seeds, stop: () => spy.mockRestore() };
}
