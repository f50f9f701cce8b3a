import { expect, it } from "vitest";
import { defaultEngineLimits, stepTokensOf } from "../../gpu-worker/llm/engine-limits.ts";

function stepTokens(queryHeads: number, maxTokens: number, provider: "cpu" | "cuda" = "cpu") {
  const limits = { maxTokens, dimensions: null, vocabularySize: 100 };
  return stepTokensOf({ queryHeads, limits, session: { provider } });
}

it("a step reads as many tokens of prompts as attention's scores have memory for", () => {
  const { slots, stepTokensMax } = defaultEngineLimits;
  // SmolLM2-135M, Qwen2.5-0.5B and Llama-3.2-1B at the usual length; then as long as it can be, and beyond.
  expect(stepTokens(9, 8_192)).toBe(stepTokensMax);
  expect(stepTokens(14, 8_192)).toBe(stepTokensMax);
  expect(stepTokens(32, 8_192)).toBe(128);
  expect(stepTokens(14, 32_768)).toBe(73);
  expect(stepTokens(128, 1_048_576)).toBe(slots);
  // A GPU has them in tiles.
  expect(stepTokens(128, 1_048_576, "cuda")).toBe(stepTokensMax);
});
