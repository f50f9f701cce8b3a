/** Rows of logits as models give them, and what is asked of a sampler. */
import type { LogitsRow } from "../../gpu-worker/llm/sampler.ts";
import type { SamplingParameters } from "../../gpu-worker/model/generation.ts";
import { greedy } from "./write-text.ts";

/** At temperature 1, unless said otherwise. */
export function rowOf(
  parameters: Partial<SamplingParameters>,
  row: Partial<LogitsRow> = {},
): LogitsRow {
  return {
    parameters: { ...greedy, temperature: 1, ...parameters },
    promptTokens: new Set(),
    outputCounts: new Map(),
    choice: 0,
    position: 0,
    allowed: null,
    ...row,
  };
}

/** Few likely tokens, and a long tail. */
export function madeLogits(count: number, random: () => number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, () => {
    return Math.log((random() + 1e-6) / (random() + 1e-6)) * 2;
  });
}
